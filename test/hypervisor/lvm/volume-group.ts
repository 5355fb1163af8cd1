import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { closeSync, ftruncateSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const environment = { ...process.env, LVM_SUPPRESS_FD_WARNINGS: '1' };

/** A volume group of its own on a loop device. */
export interface TestVolumeGroup {
  readonly name: string;
  readonly device: string;
  /** Names and tags of what is in it. */
  volumes(): { readonly name: string; readonly tags: string }[];
  /** Fills what the next volume gets, of the group or of a pool, with a text, as if other tenants had used it. */
  soil(text: string, pool?: string): void;
  remove(): void;
}

export function run(program: string, args: readonly string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', env: environment, stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Makes one. */
export function makeVolumeGroup(mebibytes: number): TestVolumeGroup {
  const name = `everboot-test-${randomUUID().slice(0, 8)}`;
  const file = join(tmpdir(), `${name}.disk`);
  const descriptor = openSync(file, 'wx', 0o600);
  ftruncateSync(descriptor, mebibytes * 2 ** 20);
  closeSync(descriptor);
  const device = run('losetup', ['--find', '--show', file]).trim();
  run('lvm', ['pvcreate', '-qq', '--yes', device]);
  run('lvm', ['vgcreate', '-qq', name, device]);
  return {
    name,
    device,
    volumes() {
      const args = ['lvs', '--reportformat', 'json', '-o', 'lv_name,lv_tags', name];
      const rows: { lv_name: string; lv_tags: string }[] = JSON.parse(run('lvm', args)).report[0].lv;
      return rows.map((row) => ({ name: row.lv_name, tags: row.lv_tags }));
    },
    soil(text, pool) {
      const size = pool === undefined ? ['-L', '64M'] : ['-V', '64M', '--thinpool', pool];
      run('lvm', ['lvcreate', '-qq', '--yes', ...size, '-n', 'soil', name]);
      run('sh', ['-c', 'yes "$1" | head -c 64M >"$2" && sync "$2"', 'sh', text, `/dev/${name}/soil`]);
      run('lvm', ['lvremove', '-qq', '--yes', `${name}/soil`]);
    },
    remove() {
      run('lvm', ['vgremove', '-qq', '--yes', '--force', name]);
      run('losetup', ['--detach', device]);
      rmSync(file);
    },
  };
}
