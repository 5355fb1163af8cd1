/**
 * Keeps the code of a release, so that the tests can run it beside this one's. Writes 0.1.tar.gz, and the same bytes
 * again for the same commit: `node test/releases/keep-release.ts 0.1 COMMIT`.
 */
import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

/** Everything that a worker and a client are made of; the packages are the checkout's. */
const product = ['domain', 'workflows', 'activities', 'hypervisor', 'workers', 'client', 'cli'];
const packages = ['package.json', 'package-lock.json', 'LICENSE'];

const [release, commit] = process.argv.slice(2);
if (release === undefined || commit === undefined) throw new Error('usage: keep-release.ts RELEASE COMMIT');
const archive = execFileSync('git', ['archive', '--format=tar', commit, ...product, ...packages], {
  cwd: join(import.meta.dirname, '../..'),
  maxBuffer: 2 ** 26,
});
await writeFile(join(import.meta.dirname, `${release}.tar.gz`), gzipSync(archive, { level: 9 }));
