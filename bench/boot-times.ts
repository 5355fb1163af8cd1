/**
 * Measures boots to disks ready on a running `up`, client and Temporal included: cold and warm, by step, with the round
 * trips to Temporal, the programs started and the bytes written. The images come from a real Glance, as in Nova's figures.
 *
 *   node bench/boot-times.ts [--runs N] [--json]
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Client, Connection } from '@temporalio/client';
import { connectClient } from '../client/connect-client.ts';
import { startGlance } from '../test/fixtures/glance.ts';
import { type RunningEverboot, startEverboot } from '../test/fixtures/running-everboot.ts';
import { makeImageA, makeImageB } from './images.ts';
import { type BootMeasure, measureBoot, median } from './measure.ts';

/** Nova 34 with the same images, flavor and machine: the median wall time in seconds. */
const nova = {
  'A raw': { cold: 3.28, warm: 0.77 },
  'A qcow2': { cold: 2.49, warm: 0.47 },
  'B raw': { cold: 10.2, warm: 1.53 },
  'B qcow2': { cold: 7.8, warm: 0.53 },
} as const;
type Case = keyof typeof nova;

const { values: given } = parseArgs({
  options: { runs: { type: 'string', default: '5' }, json: { type: 'boolean', default: false } },
});
const runs = Number(given.runs);
const flavor = { vcpus: 1, memoryMb: 512, rootGb: 10, ephemeralGb: 2, swapMb: 512 };
const folder = join(process.env.EVERBOOT_STATE_DIR ?? '/var/lib/everboot', 'bench');

const files = { A: await makeImageA(folder), B: await makeImageB(folder) };
const glance = await startGlance();
const images = {
  A: await glance.upload(files.A, { name: 'A', disk_format: 'qcow2' }),
  B: await glance.upload(files.B, { name: 'B', disk_format: 'qcow2' }),
};
const results: Partial<Record<Case, { cold: readonly BootMeasure[]; warm: readonly BootMeasure[] }>> = {};
try {
  for (const format of ['raw', 'qcow2'] as const) {
    const toml = `[glance]\napi_servers = ["${glance.endpoint}"]\n[libvirt]\nimages_type = "${format}"\n`;
    const programsFile = join(folder, 'programs.txt');
    const preload = `--import ${new URL('count-programs.ts', import.meta.url)}`;
    const environment = { EVERBOOT_BENCH_PROGRAMS: programsFile, NODE_OPTIONS: preload };
    const up = await startEverboot({ command: 'up', toml, environment });
    const connection = await Connection.connect({ address: up.ready.temporal });
    const everboot = await connectClient({ address: up.ready.temporal, namespace: 'default' });
    const client = new Client({ connection });
    const worker = { pid: up.process().pid ?? 0, programsFile };
    const boot = async (image: string): Promise<BootMeasure> => {
      const spec = { name: 'bench', flavor, image: { glance: image }, boot: 'disks', metadata: { role: 'bench' } };
      const { instanceId, measure } = await measureBoot({ everboot, client }, worker, spec);
      await everboot.delete(instanceId);
      return measure;
    };
    for (const [name, image] of Object.entries(images)) {
      const cold: BootMeasure[] = [];
      const warm: BootMeasure[] = [];
      for (let run = 0; run < runs; run += 1) {
        await emptyCache(up);
        cold.push(await boot(image));
        warm.push(await boot(image));
        process.stderr.write(
          `${name} ${format}: cold ${cold.at(-1)?.wallMs.toFixed()} ms, warm ${warm.at(-1)?.wallMs.toFixed()} ms\n`,
        );
      }
      results[`${name} ${format}` as Case] = { cold, warm };
    }
    await everboot.close();
    await connection.close();
    await up.stop();
  }
} finally {
  await glance.stop();
}
process.stdout.write(given.json ? `${JSON.stringify(results, null, 2)}\n` : report());

/** Only between boots: nothing has a claim on it then. */
async function emptyCache({ paths }: RunningEverboot): Promise<void> {
  await rm(paths.cache, { recursive: true, force: true });
  await rm(paths.bases, { recursive: true, force: true });
}

function report(): string {
  const middle = (measures: readonly BootMeasure[], of: (measure: BootMeasure) => number) => median(measures.map(of));
  const lines = [
    '| | wall s | Nova 34, s | round trips | programs | written MiB | worker peak MiB |',
    '|---|---|---|---|---|---|---|',
  ];
  for (const [name, measures] of Object.entries(results)) {
    for (const heat of ['cold', 'warm'] as const) {
      const series = measures[heat];
      lines.push(
        `| ${name} ${heat} | ${(middle(series, ({ wallMs }) => wallMs) / 1000).toFixed(2)} | ${nova[name as Case][heat]} ` +
          `| ${middle(series, ({ roundTrips }) => roundTrips)} | ${middle(series, ({ programs }) => programs)} ` +
          `| ${(middle(series, ({ writtenBytes }) => writtenBytes) / 2 ** 20).toFixed(1)} ` +
          `| ${(middle(series, ({ peakMemoryBytes }) => peakMemoryBytes) / 2 ** 20).toFixed()} |`,
      );
    }
  }
  lines.push('', '| step, ms | cold | warm |', '|---|---|---|');
  const detailed = results['A qcow2'];
  const steps = new Set(detailed?.cold.flatMap(({ steps }) => Object.keys(steps)));
  for (const step of steps) {
    const times = (['cold', 'warm'] as const).map((heat) => {
      const series = (detailed?.[heat] ?? []).map(({ steps }) => steps[step]).filter((time) => time !== undefined);
      return series.length === 0 ? '' : median(series).toFixed();
    });
    lines.push(`| ${step} | ${times.join(' | ')} |`);
  }
  return `${lines.join('\n')}\n`;
}
