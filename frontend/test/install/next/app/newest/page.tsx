// A server component: it uses the client on the server, and renders a client component of the
// package's hooks.
import { Suspense } from "react";
import { connection } from "next/server";
import { ImagesClient } from "@preset/images";

import Board from "../board/page";

async function Newest() {
  await connection();
  const images = new ImagesClient({ url: process.env.IMAGES_URL!, token: process.env.NEXT_PUBLIC_TOKEN! });
  const { tasks } = await images.list({ limit: 1 });
  return <h1>{tasks[0]?.prompt ?? "Nothing yet"}</h1>;
}

export default function Page() {
  return (
    <>
      <Suspense><Newest /></Suspense>
      <Board />
    </>
  );
}
