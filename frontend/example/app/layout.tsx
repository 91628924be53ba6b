import type { Metadata } from "next";

import "./globals.css";

export const metadata: Metadata = {
  title: "Pictures for your boards",
  description: "Order, edit and arrange pictures with @preset/images.",
};

export default function Layout({ children }: { children: React.ReactNode }) {
  return (
    <html lang="en">
      <body>{children}</body>
    </html>
  );
}
