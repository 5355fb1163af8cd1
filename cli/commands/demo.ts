import type { Command } from 'commander';
import { outputOf } from '../output.ts';

export function addDemoCommand(program: Command): void {
  program
    .command('demo')
    .description('build and boot a small guest on this machine, show its report, and clean up')
    .option('--keep', 'leave everything running, and print the commands that inspect and delete it')
    .action(async ({ keep = false }: { keep?: boolean }, command: Command) => {
      const { runDemo } = await import('../demo/run-demo.ts');
      await runDemo({ keep, output: outputOf(command) });
    });
}
