#!/usr/bin/env node
import { createRequire } from 'node:module';
await createRequire(import.meta.url)('../dist/lean/start.cjs').run(process.argv.slice(2), import.meta.url);
