import { notFound } from "next/navigation";

import { SignIn } from "@/components/SignIn";
import { Studio } from "@/components/Studio";
import { boardOf } from "@/lib/boards";
import { readSettings } from "@/lib/settings";

/** Shows the board that the address names, or everything: /?board=moodboard:studio */
export default async function Page({ searchParams }: { searchParams: Promise<{ board?: string | string[] }> }) {
  const { board: name } = await searchParams;
  const board = typeof name === "string" ? boardOf(name) : undefined;
  if (name !== undefined && !board) notFound();
  return (
    <SignIn settings={await readSettings()}>
      <Studio target={board?.target} />
    </SignIn>
  );
}
