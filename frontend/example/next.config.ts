import type { NextConfig } from "next";

const config: NextConfig = {
  // This folder is an app of its own, whatever stands above it.
  turbopack: { root: import.meta.dirname },
  poweredByHeader: false,
};

export default config;
