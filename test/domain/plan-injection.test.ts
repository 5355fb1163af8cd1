import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { DiskPlan } from '../../domain/disk-plan.ts';
import { EverbootFailure } from '../../domain/failures.ts';
import { planInjection, plansGrowth } from '../../domain/plan-injection.ts';

const root = { kind: 'root', name: 'disk', format: 'qcow2', device: 'vda', bus: 'virtio', sizeBytes: 1 } as const;
const plan = { root, config: null, bootFiles: [] } satisfies Partial<DiskPlan>;
const config = { ...root, kind: 'config', name: 'disk.config', deviceType: 'cdrom' } as const;
const kernel = { kind: 'kernel', name: 'kernel' } as const;
const settings = (injectPartition: number, virtType: 'auto' | 'lxc' = 'auto') => ({ injectPartition, virtType });

test('the partition is the host’s to say, and a disk with a kernel, or a container’s, has none', () => {
  assert.equal(planInjection(plan, settings(-1)), 'inspect');
  assert.equal(planInjection(plan, settings(0)), 'disk');
  assert.equal(planInjection(plan, settings(3)), 3);
  assert.equal(planInjection({ ...plan, bootFiles: [kernel] }, settings(3)), 'disk');
  assert.equal(planInjection({ ...plan, bootFiles: [kernel] }, settings(-1)), 'disk');
  assert.equal(planInjection(plan, settings(-1, 'lxc')), 'disk');
});

test('nothing is injected where that is off, where a config drive is, and where no root disk is made', () => {
  assert.equal(planInjection(plan, settings(-2)), null);
  assert.equal(planInjection({ ...plan, bootFiles: [kernel] }, settings(-2)), null);
  assert.equal(planInjection({ ...plan, config }, settings(-1)), null);
  assert.equal(planInjection({ ...plan, root: null }, settings(-1)), null);
});

test('a disk in a Ceph pool cannot be injected into, and a logical volume can', () => {
  const inCeph = { ...plan, root: { ...root, storage: 'rbd' as const } };
  assert.throws(
    () => planInjection(inCeph, settings(0)),
    (error) => error instanceof EverbootFailure && error.code === 'HostUnsuitable' && /config drive/.test(error.remedy),
  );
  assert.equal(planInjection({ ...inCeph, config }, settings(0)), null);
  assert.equal(planInjection({ ...plan, root: { ...root, storage: 'lvm' as const } }, settings(0)), 'disk');
});

test('a file system grows only where that is asked for and the disk has a size of its own', () => {
  const on = { resizeFsUsingBlockDevice: true };
  assert.equal(plansGrowth(plan, on), true);
  assert.equal(plansGrowth(plan, { resizeFsUsingBlockDevice: false }), false);
  assert.equal(plansGrowth({ root: null }, on), false);
  assert.equal(plansGrowth({ root: { ...root, sizeBytes: null } }, on), false);
});
