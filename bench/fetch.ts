/**
 * Measures an image's flow into the cache beside plain programs, on the same files in one run, in turns.
 *
 *   node bench/fetch.ts [--rounds N] [--json]
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readFile, rm, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { textTable } from '../cli/text-table.ts';
import { runProgram } from '../hypervisor/process/run-program.ts';
import { makeImageA, makeImageB } from './images.ts';
import { median } from './measure.ts';

const { values } = parseArgs({ options: { rounds: { type: 'string', default: '3' }, json: { type: 'boolean' } } });
const rounds = Number(values.rounds);
const timeoutMs = 600_000;
const mebibyte = 2 ** 20;
const folder = '/var/tmp/everboot-bench-fetch';
const images = '/var/tmp/everboot-bench-images';
await mkdir(folder, { recursive: true });

interface Figures {
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly writtenMib: number;
  readonly peakMib: number;
}

/** Everything runs in a process of its own, whose children count as well. */
async function measure(command: string, args: readonly string[]): Promise<Figures> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder);
  await runProgram('sync', ['-f', folder], { timeoutMs });
  const freeBefore = await freeBytes();
  let peakBytes = 0;
  const timer = setInterval(() => {
    void freeBytes().then((free) => {
      peakBytes = Math.max(peakBytes, freeBefore - free);
    });
  }, 50);
  const startedAtMs = performance.now();
  const script = `"$0" "$@"; code=$?; echo "io $(grep ^write_bytes: /proc/$$/io)"; times; exit $code`;
  const child = spawn('bash', ['-c', script, command, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.on('data', (piece) => {
    said += String(piece);
  });
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  const wallMs = performance.now() - startedAtMs;
  clearInterval(timer);
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}: ${said}`);
  const written = Number(/write_bytes: (\d+)/.exec(said)?.[1] ?? 0);
  const times = [...said.matchAll(/(\d+)m([\d.]+)s/g)].map(
    ([, minutes, seconds]) => Number(minutes) * 60 + Number(seconds),
  );
  return {
    wallMs,
    cpuMs: times.reduce((sum, seconds) => sum + seconds, 0) * 1000,
    writtenMib: written / mebibyte,
    peakMib: peakBytes / mebibyte,
  };
}

async function freeBytes(): Promise<number> {
  const { bfree, bsize } = await statfs(folder);
  return bfree * bsize;
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha512');
  for await (const piece of createReadStream(path, { highWaterMark: mebibyte })) hash.update(piece as Buffer);
  return hash.digest('hex');
}

async function serve(path: string): Promise<{ readonly url: string; readonly stop: () => void }> {
  const server = spawn(process.execPath, [join(import.meta.dirname, 'static-server.ts'), path], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const url of createInterface({ input: server.stdout })) return { url, stop: () => void server.kill() };
  throw new Error('the server did not start');
}

async function rivals(path: string, url: string): Promise<Record<string, () => Promise<Figures>>> {
  const file = join(folder, 'fetched');
  const raw = join(folder, 'raw');
  const own = join(import.meta.dirname, 'fetch-once.ts');
  const given = JSON.stringify({ url, hex: await digestOf(path), sizeBytes: (await stat(path)).size, folder });
  const shell = (script: string) => () => measure('bash', ['-c', script]);
  const sync = `sync '${raw}'`;
  return {
    'curl | sha512sum': shell(`set -o pipefail; curl -sf '${url}' | sha512sum >/dev/null`),
    'curl -o file, synced': shell(`curl -sf -o '${file}' '${url}' && sync '${file}'`),
    'everboot: fetch, hashed': () => measure(process.execPath, [own, 'fetch', given]),
    'curl -o file; qemu-img convert, synced': shell(
      `curl -sf -o '${file}' '${url}' && qemu-img convert -f qcow2 -O raw '${file}' '${raw}' && ${sync}`,
    ),
    'curl, sha512sum, convert, synced': shell(
      `curl -sf -o '${file}' '${url}' && sha512sum '${file}' >/dev/null && qemu-img convert -f qcow2 -O raw '${file}' '${raw}' && ${sync}`,
    ),
    'everboot: fetch, hashed, judged, converted, synced': () => measure(process.execPath, [own, 'convert', given]),
  };
}

const results: Record<string, Record<string, Figures>> = {};
for (const [name, path] of [
  ['A', await makeImageA(images)],
  ['B', await makeImageB(images)],
] as const) {
  const server = await serve(path);
  const runs = await rivals(path, server.url);
  const figures: Record<string, Figures[]> = Object.fromEntries(Object.keys(runs).map((rival) => [rival, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const [rival, run] of Object.entries(runs)) figures[rival]?.push(await run());
  }
  server.stop();
  results[name] = Object.fromEntries(
    Object.entries(figures).map(([rival, all]) => {
      const of = (key: keyof Figures): number => median(all.map((each) => each[key]));
      return [
        rival,
        { wallMs: of('wallMs'), cpuMs: of('cpuMs'), writtenMib: of('writtenMib'), peakMib: of('peakMib') },
      ];
    }),
  );
}
await rm(folder, { recursive: true, force: true });
if (values.json) process.stdout.write(`${JSON.stringify(results)}\n`);
else {
  for (const [name, rows] of Object.entries(results)) {
    const size = (await readFile(join(images, `${name}.qcow2`))).length / mebibyte;
    process.stdout.write(`\n${name}, ${Math.round(size)} MiB, medians of ${rounds}\n`);
    const cells = Object.entries(rows).map(([rival, { wallMs, cpuMs, writtenMib, peakMib }]) => [
      rival,
      ...[(wallMs / 1000).toFixed(2), (cpuMs / 1000).toFixed(2), writtenMib.toFixed(0), peakMib.toFixed(0)],
    ]);
    process.stdout.write(`${textTable([['', 'wall s', 'CPU s', 'written MiB', 'peak MiB'], ...cells]).join('\n')}\n`);
  }
}
