// Starts Debian's Chromium.
import { chromium } from "playwright-core";

/** A browser that does nothing by itself. CHROMIUM names another than Debian's. */
export const launch = () => chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
