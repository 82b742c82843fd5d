#!/usr/bin/env node
const path = require('node:path');
void require('../dist/lean/start.cjs').run(process.argv.slice(2), path.dirname(__dirname));
