// The page of a picture in chats that show it, against a bin/local that this starts. What
// needs no switches of the local run is in clients.test.js.
import { after, before, describe } from "node:test";

import { close, launch } from "./chat/browser.js";
import { hosts } from "./chat/hosts.js";
import { states } from "./chat/states.js";
import { startLocal } from "./local.js";

const target = await startLocal("ada", { MAX_GENERATIONS: "1" });
after(() => target.stop());

before(launch);
after(close);

describe("chats and users", () => hosts(target));
describe("states", () => states(target));
