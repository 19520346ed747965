import { defineConfig } from "vitest/config";

// Tests run on the sources of every workspace package: the condition below is declared in each package's `exports`.
const conditions = ["@nemo-stt/source", "node", "import", "default"];

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ["packages/*/test/**/*.test.ts", "test/**/*.test.ts"],
    testTimeout: 60_000,
    pool: "forks",
  },
});
