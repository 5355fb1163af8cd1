import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { wordsFor } from '../../domain/mkfs-commands.ts';
import { planDisks } from '../../domain/plan-disks.ts';
import { fileSystemCommand } from '../../hypervisor/disks/make-file-system.ts';
import { type MkfsInput, mkfsCases } from '../fixtures/nova/mkfs-cases.ts';

const flavor = { name: 'm1.test', vcpus: 1, memoryMb: 512, rootGb: 0, ephemeralGb: 1, swapMb: 0 };

/** The words of the command that would make the first ephemeral disk. */
function commandFor(input: MkfsInput): readonly string[] {
  const { osType, virtMkfs = [], fileSystem } = input;
  const settings = { imagesType: 'raw', useCowImages: false, virtType: 'kvm', virtMkfs } as const;
  const defaultEphemeralFormat = input.defaultEphemeralFormat ?? null;
  const plan = planDisks({
    spec: { configDrive: false, ephemerals: [{ sizeGb: 1, ...(fileSystem !== undefined && { fileSystem }) }] },
    flavor,
    rootImage: null,
    settings: { ...settings, defaultEphemeralFormat, forceConfigDrive: false, configDriveFormat: 'iso9660' },
    hasKernel: false,
    hasRamdisk: false,
    osType: osType ?? 'linux',
    suffix: '',
  });
  const [disk] = plan.ephemerals;
  assert.ok(disk !== undefined);
  return wordsFor(fileSystemCommand(disk, virtMkfs), '/disk');
}

/**
 * A command without what differs though the file system is the same: how to name its program, to be quick, not to ask.
 */
function essence(words: readonly string[]): readonly string[] {
  const [program, ...args] = words.join(' ').replace('mkfs -t ', 'mkfs.').split(' ');
  return [program ?? '', ...args.filter((word) => !['-q', '-f', '-F', '-Q'].includes(word))];
}

test('a real Nova formats with the same command, but for the differences that are explained', async (t) => {
  const text = await readFile(new URL('../fixtures/nova/mkfs.json', import.meta.url), 'utf8');
  const { cases } = JSON.parse(text) as { cases: { input: MkfsInput; command: string[] }[] };
  const inputs = cases.map(({ input }) => input);
  const known = JSON.parse(JSON.stringify(mkfsCases.map(({ input }) => input)));
  assert.deepEqual(inputs, known, 'record them again, see test/fixtures/nova/record-mkfs.py');
  for (const [index, { input, differs }] of mkfsCases.entries()) {
    await t.test(JSON.stringify(input), () => {
      const ours = commandFor(input);
      const { command = [] } = cases[index] ?? {};
      if (differs !== undefined) assert.notDeepEqual(essence(ours), essence(command), 'no difference any more');
      // The host's own command is run as it is written.
      else if (input.virtMkfs !== undefined && !command.includes('-t')) assert.deepEqual(ours, command);
      else assert.deepEqual(essence(ours), essence(command));
    });
  }
});
