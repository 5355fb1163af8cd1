import type { Command } from 'commander';
import { outputOf } from '../output.ts';

export function addDemoCommand(program: Command): void {
  program
    .command('demo')
    .description('build and boot a small guest on this machine, show what it saw, and clean up')
    .option('--keep', 'leave everything running, and say how to look at it and how to delete it')
    .action(async ({ keep = false }: { keep?: boolean }, command: Command) => {
      const { runDemo } = await import('../demo/run-demo.ts');
      await runDemo({ keep, output: outputOf(command) });
    });
}
