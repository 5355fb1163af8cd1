#!/usr/bin/env node
import { runCommandLine } from './run-command-line.ts';

const code = await runCommandLine(process.argv.slice(2));
// What was printed has to be out before the process ends, since a pipe is written behind its back.
await new Promise<void>((resolve) => process.stdout.write('', () => resolve()));
process.exit(code);
