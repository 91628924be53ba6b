"use client";

import type { Target } from "@preset/images";
import Link from "next/link";

import { boards, nameOf } from "@/lib/boards";

import { CreditsLine } from "./CreditsLine";

/** The boards to choose from, and what is left to spend. */
export function Header({ target }: { target?: Target }) {
  const current = target && nameOf(target);
  return (
    <header>
      <h1>Preset <span>pictures</span></h1>
      <nav aria-label="Boards">
        <Link href="/" aria-current={current ? undefined : "page"}>Everything</Link>
        {boards.map(({ title, target }) => (
          <Link key={title} href={`/?board=${nameOf(target)}`} aria-current={current === nameOf(target) ? "page" : undefined}>{title}</Link>
        ))}
      </nav>
      <CreditsLine />
    </header>
  );
}
