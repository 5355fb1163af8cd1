import assert from 'node:assert/strict';
import { glob, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type EverbootFailure, failureKind } from '../../domain/failures.ts';
import type { ImageDescription } from '../../domain/image.ts';
import { statusFailure } from '../../hypervisor/http/http-status.ts';
import { downloadImage } from '../../hypervisor/image-store/download/download-image.ts';
import { glanceSettings } from '../fixtures/image-server.ts';
import { faultyBytes, faultyDigest, rawServer, sourceFaults } from '../fixtures/source-faults.ts';

const image: ImageDescription = {
  reference: { glance: 'c1f0e1a2-0000-4000-8000-5f3b1c2d4e5f' },
  title: 'hostile',
  format: 'raw',
  sizeBytes: faultyBytes.length,
  digest: { algorithm: 'sha512', hex: faultyDigest },
  minDiskGb: 0,
  minRamMb: 0,
  properties: {},
};

describe('a server’s fault', { concurrency: 8 }, () => {
  for (const { fault, answers, servers = 1, place, outcome, ranges, timeMs = 30_000 } of sourceFaults) {
    test(`${fault}: ${outcome}`, async (t) => {
      const directory = await mkdtemp(join(tmpdir(), 'everboot-hostile-'));
      t.after(() => rm(directory, { recursive: true, force: true }));
      const partPath = join(directory, 'base.part');
      const asked: (number | undefined)[] = [];
      const apiServers: string[] = place === undefined ? [] : [place];
      while (apiServers.length < servers) apiServers.push((await rawServer(t, answers, asked)).url);
      const fetching = downloadImage(
        { image, partPath, timeMs },
        { glance: glanceSettings({ apiServers, stallTimeout: 1, numRetries: 3 }), fileImageRoots: [] },
        { signal: AbortSignal.timeout(60_000), onProgress: () => undefined },
      );
      if (outcome === 'fetched') {
        await fetching;
        assert.ok((await readFile(partPath)).equals(faultyBytes));
      } else {
        await assert.rejects(fetching, (error: EverbootFailure) => {
          assert.equal(error.code, outcome, error.stack);
          return true;
        });
        if (failureKind(outcome).imageRefused) await assert.rejects(stat(partPath), { code: 'ENOENT' });
      }
      if (ranges !== undefined) assert.deepEqual(asked, ranges);
    });
  }
});

test('Retry-After is read in seconds and as a date, and kept for a minute at most', () => {
  const waits = (text: string | undefined, status = 503): number | undefined => {
    const headers = text === undefined ? {} : { 'retry-after': text };
    const answer = { address: 'http://a', status, headers, body: (async function* () {})(), close: () => undefined };
    return statusFailure(answer, 'glance', 'image').retryAfterMs;
  };
  assert.equal(waits('7'), 7000);
  assert.equal(waits('999999999'), 60_000);
  assert.equal(waits('9'.repeat(40)), undefined);
  assert.equal(waits('soon'), undefined);
  assert.equal(waits(undefined), undefined);
  assert.equal(waits('7', 500), undefined);
  assert.equal(waits(new Date(Date.now() - 5000).toUTCString()), 0);
  const inHalfAMinute = waits(new Date(Date.now() + 30_000).toUTCString()) ?? 0;
  assert.ok(inHalfAMinute > 20_000 && inHalfAMinute <= 30_000);
});

test('the table of faults in docs/failures.md is the one that these tests inject', async () => {
  const text = await readFile(new URL('../../docs/failures.md', import.meta.url), 'utf8');
  const missing = sourceFaults
    .map(({ fault, whatHappens, outcome }) =>
      `| ${fault} | ${whatHappens} | \`${outcome}\` |`.replace('`fetched`', 'fetched'),
    )
    .filter((row) => !text.includes(row));
  assert.deepEqual(missing, []);
  const rows = rowsOf(text, '## What a server can do, and what happens then');
  assert.equal(rows.length, sourceFaults.length, 'nothing in the table is without its test');
});

/** The rows of the table behind a heading of a page. */
function rowsOf(text: string, heading: string): string[] {
  const section = text.slice(text.indexOf(heading) + heading.length).split('\n## ')[0] ?? '';
  return section.match(/^\| (?!fault|---).*\|$/gm) ?? [];
}

test('each test that docs/failures.md names for what else may happen to a fetch is there', async () => {
  const text = await readFile(new URL('../../docs/failures.md', import.meta.url), 'utf8');
  const titles = rowsOf(text, '## What else may happen to a fetch').map((row) => row.split(' | ').at(-1)?.slice(0, -2));
  assert.ok(titles.length > 15);
  const sources: string[] = [];
  for await (const file of glob('**/*.test.ts', { cwd: new URL('..', import.meta.url) })) {
    sources.push(await readFile(new URL(`../${file}`, import.meta.url), 'utf8'));
  }
  const missing = titles.filter((title) => !sources.some((source) => source.includes(`test('${title}', `)));
  assert.deepEqual(missing, []);
});
