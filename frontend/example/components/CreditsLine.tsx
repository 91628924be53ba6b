"use client";

import { useCredits } from "@preset/images/react";

import { inCredits } from "@/lib/inCredits";

/** What is left to spend: the service's credits, and today's pictures. */
export function CreditsLine() {
  const { credits } = useCredits();
  if (!credits) return <p className="credits">&nbsp;</p>;
  const { balance, low, canGenerate, reason, quota } = credits;
  return (
    <p className={low || !canGenerate ? "credits low" : "credits"}>
      <b>{inCredits(balance)}</b>
      {quota.limit > 0 && <> · {quota.used} of {quota.limit} pictures today</>}
      {reason === "paused" && <> · making pictures is paused</>}
      {reason === "insufficient_credits" && <> · a top-up is needed</>}
      {reason === "quota_exceeded" && <> · more from {new Date(quota.resetsAt).toLocaleTimeString([], { timeStyle: "short" })}</>}
    </p>
  );
}
