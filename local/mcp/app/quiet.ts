// Keeps zod from trying whether it may make code of texts: chats' policies forbid that, and
// browsers report the attempt. Import this before whatever has schemas.
import { config } from "zod/v4/core";

config({ jitless: true });
