#!/usr/bin/env node
import { run } from '../dist/lean/start.js';
await run(process.argv.slice(2), import.meta.url);
