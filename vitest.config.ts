import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/soak/**', 'node_modules/**'],
    globalSetup: ['test/support/run-directory.ts', 'test/support/peers-setup.ts'],
    setupFiles: ['test/support/fixed-seed.ts'],
    disableConsoleIntercept: true,
    // No test asserts a time. These end what hangs, also on a machine whose load is ten times the number of its processors.
    testTimeout: 120_000,
    hookTimeout: 180_000,
    pool: 'forks',
    maxWorkers: 2,
  },
});
