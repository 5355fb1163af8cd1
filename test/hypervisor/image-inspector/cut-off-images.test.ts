import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { runProgram } from '../../../hypervisor/process/run-program.ts';
import { inspect, type Kind, kinds, openWorkshop, type Workshop } from './made-images.ts';

let workshop: Workshop;
before(async () => {
  workshop = await openWorkshop();
});
after(() => workshop.close());

test('an image that is cut off is refused wherever a byte of its disk is missing', async () => {
  const sameDisk = async (path: string, original: string, format: string) => {
    const driver = format === 'vhd' ? 'vpc' : format;
    const compared = runProgram('qemu-img', ['compare', '-f', driver, '-F', driver, path, original], {
      timeoutMs: 60_000,
    });
    return await compared.then(
      () => true,
      () => false,
    );
  };
  for (const [kind, { format }] of Object.entries(kinds)) {
    if (format === 'qed') continue;
    const original = await workshop.make(kind as Kind);
    const whole = await readFile(original);
    for (const share of [0.9999, 0.97, 0.8, 0.5, 0.2, 0.03, 0.001]) {
      const path = await workshop.write('cut', whole.subarray(0, Math.floor(whole.length * share)));
      const { verdict } = await inspect(path, format);
      if (verdict === 'accepted') assert.ok(await sameDisk(path, original, format), `${kind} cut to ${share}`);
    }
  }
});

test('a CD that is cut off is refused', async () => {
  const path = join(workshop.folder, 'cut.iso');
  await runProgram('xorriso', ['-as', 'mkisofs', '-quiet', '-o', path, await workshop.make('vhd fixed')], {
    timeoutMs: 60_000,
  });
  const bytes = await readFile(path);
  const { code, reasons } = await inspect(await workshop.write('cut.iso', bytes.subarray(0, 2 ** 20)), 'iso');
  assert.equal(code, 'ImageUnacceptable');
  assert.match(reasons.join('; '), /volume ends/);
});
