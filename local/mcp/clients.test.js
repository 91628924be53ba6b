// The official clients of the Model Context Protocol against POST /mcp of a bin/local
// that this starts, or of the server at MCP_URL. That one needs MCP_TOKEN, the token of
// a user without pictures; MCP_EXPIRED_TOKEN; and MCP_LEDGER and MCP_LEDGER_KEY, the
// simulated provider's address and key. Its PRICES must make nano-banana-pro/4K cost
// more than the balance.
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe } from "node:test";

import { close, launch } from "./chat/browser.js";
import { picture } from "./chat/picture.js";
import { conformance } from "./conformance.js";
import { conversation } from "./conversation.js";
import { Inspector } from "./inspector.js";
import { startLocal } from "./local.js";
import { skill } from "./skill.js";
import { rules } from "./rules.js";
import { allSeen, tools, unauthorized } from "./tools.js";

const { env } = process;
const target = env.MCP_URL
  ? {
      url: env.MCP_URL, token: env.MCP_TOKEN, expired: env.MCP_EXPIRED_TOKEN,
      ledger: env.MCP_LEDGER, ledgerKey: env.MCP_LEDGER_KEY, stop() {},
    }
  : await startLocal("ada");
const folder = await mkdtemp(join(tmpdir(), "nanobanana-mcp-"));
after(async () => {
  await rm(folder, { recursive: true });
  await target.stop();
});

const inspector = new Inspector(target, folder);
describe("conformance", () => conformance(target));
describe("the directory's rules", () => rules(target));
describe("the Inspector", () => tools(inspector));
describe("a conversation", () => conversation(target, inspector, folder));
describe("a chat that shows the page of a picture", () => {
  before(launch);
  after(close);
  picture(target);
});
allSeen(inspector);
describe("the skill", () => skill(target, inspector));
describe("without sign-in", () => unauthorized(target));
