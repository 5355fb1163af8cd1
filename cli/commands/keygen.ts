import type { Command } from 'commander';
import { EverbootFailure } from '../../domain/failures.ts';
import { outputOf } from '../output.ts';
import { loadSettings } from '../settings.ts';
import { nameTable } from '../text-table.ts';

export function addKeygenCommand(program: Command): void {
  program
    .command('keygen')
    .description('make a key pair for the secrets of specs, or add a new key to the existing pair')
    .option('--public <file>', 'the public keys; default: [secrets] public_key_file')
    .option('--private <file>', 'the private keys; default: [secrets] private_key_file')
    .action(async (options: { public?: string; private?: string }, command: Command) => {
      const { secrets } = (await loadSettings()).configuration;
      const publicKeyFile = options.public ?? secrets.publicKeyFile;
      const privateKeyFile = options.private ?? secrets.privateKeyFile;
      if (publicKeyFile === null || privateKeyFile === null) {
        throw new EverbootFailure('UsageInvalid', 'nothing says where the two keys go', {
          remedy: 'Name both files with --public and --private, or in the configuration’s [secrets].',
        });
      }
      const { addKeyPair } = await import('../../hypervisor/secrets/key-pair.ts');
      const kid = await addKeyPair(publicKeyFile, privateKeyFile);
      const files = nameTable({ public: publicKeyFile, private: privateKeyFile });
      const advice = 'Clients seal with the public file; only hosts have the private one.';
      outputOf(command).result(
        { kid, publicKeyFile, privateKeyFile },
        [`made the key ${kid}`, ...files, advice].join('\n'),
      );
    });
}
