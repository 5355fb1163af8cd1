import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, type TestContext, test } from 'node:test';
import { Domain } from 'libvirt';
import type { Claim } from '../../../domain/claim.ts';
import { EverbootFailure, type FailureCode } from '../../../domain/failures.ts';
import {
  closeLibvirt,
  defineDomain,
  domainState,
  nodeInfo,
  removeDomain,
  removeDomainOfInstance,
  startDomain,
} from '../../../hypervisor/libvirt/libvirt.ts';
import { runProgram } from '../../../hypervisor/process/run-program.ts';
import { startPrivateLibvirt } from '../../private-libvirt.ts';

/** A libvirt without machines, within this process. */
const testUri = 'test:///default';
const systemUri = 'qemu:///system';

after(closeLibvirt);

function newClaim(instanceId: string = randomUUID()): Claim {
  return { instanceId, operationId: randomUUID() };
}

function nameOf({ instanceId }: Claim): string {
  return `everboot-test-${instanceId.slice(0, 8)}`;
}

/** The least that is a domain. With no claim it is somebody else's. */
function xmlOf(
  claim: Claim,
  { type, owner = claim }: { readonly type: 'test' | 'qemu'; readonly owner?: Claim | null },
) {
  const metadata =
    owner === null
      ? ''
      : `<metadata><everboot:instance xmlns:everboot='urn:everboot:instance:1'>
           <everboot:claim instance='${owner.instanceId}' operation='${owner.operationId}'/>
         </everboot:instance></metadata>`;
  return `<domain type='${type}'><name>${nameOf(claim)}</name><uuid>${claim.instanceId}</uuid>${metadata}
    <memory unit='MiB'>64</memory><vcpu>1</vcpu><os><type arch='x86_64' machine='pc'>hvm</type></os>
    <features><acpi/></features></domain>`.replace(type === 'test' ? " arch='x86_64' machine='pc'" : '\0', '');
}

function failsWith(code: FailureCode, words: RegExp) {
  return (error: unknown) => error instanceof EverbootFailure && error.code === code && words.test(error.message);
}

async function hasSystemLibvirt(t: TestContext): Promise<boolean> {
  const isThere = existsSync('/run/libvirt/libvirt-sock');
  if (!isThere) t.skip('no libvirtd runs on this machine');
  return isThere;
}

test('a domain is defined, redefined, started, seen, and removed; each of it twice', async (t) => {
  const claim = newClaim();
  const xml = xmlOf(claim, { type: 'test' });
  t.after(() => removeDomain(testUri, claim));
  assert.equal(await domainState(testUri, claim.instanceId), null);
  for (const _ of [1, 2]) assert.equal(await defineDomain(testUri, xml, claim), nameOf(claim));
  assert.equal(await domainState(testUri, claim.instanceId), 'shut off');
  for (const _ of [1, 2]) await startDomain(testUri, claim);
  assert.equal(await domainState(testUri, claim.instanceId), 'running');
  for (const _ of [1, 2]) await removeDomain(testUri, claim);
  assert.equal(await domainState(testUri, claim.instanceId), null);
});

for (const owner of ['another operation', 'nobody'] as const) {
  test(`a domain of ${owner} is neither replaced, nor started, nor undone`, async (t) => {
    const claim = newClaim();
    const other = owner === 'nobody' ? null : newClaim(claim.instanceId);
    const foreignXml = xmlOf(claim, { type: 'test', owner: other });
    await defineDomain(testUri, foreignXml, claim);
    t.after(() => other && removeDomain(testUri, other));
    const words = other === null ? /no claim of everboot/ : new RegExp(other.operationId);
    const xml = xmlOf(claim, { type: 'test' });
    const [defining, starting] =
      other === null ? (['NotManaged', 'NotManaged'] as const) : (['InstanceExists', 'OperationSuperseded'] as const);
    await assert.rejects(defineDomain(testUri, xml, claim), failsWith(defining, words));
    await assert.rejects(startDomain(testUri, claim), failsWith(starting, words));
    await removeDomain(testUri, claim);
    assert.equal(await domainState(testUri, claim.instanceId), 'shut off');
  });
}

test('a delete removes the domain of any operation, but not one without a claim', async () => {
  const claim = newClaim();
  await defineDomain(testUri, xmlOf(claim, { type: 'test', owner: newClaim(claim.instanceId) }), claim);
  for (const _ of [1, 2]) await removeDomainOfInstance(testUri, claim.instanceId);
  assert.equal(await domainState(testUri, claim.instanceId), null);

  const foreign = newClaim();
  await defineDomain(testUri, xmlOf(foreign, { type: 'test', owner: null }), foreign);
  await assert.rejects(removeDomainOfInstance(testUri, foreign.instanceId), failsWith('NotManaged', /no claim/));
  assert.equal(await domainState(testUri, foreign.instanceId), 'shut off');
});

test('a refused XML is DomainRejected in libvirt’s words, and a domain that is gone is DomainMissing', async () => {
  const claim = newClaim();
  await assert.rejects(defineDomain(testUri, '<x/>', claim), failsWith('DomainRejected', /root element of 'domain'/));
  await assert.rejects(startDomain(testUri, claim), failsWith('DomainMissing', /there is none/));
});

test('a domain that libvirt does not undefine is DomainRemovalFailed, in virsh’s words', async (t) => {
  const folder = await mkdtemp('/var/tmp/everboot-test-libvirt-');
  t.after(() => rm(folder, { recursive: true, force: true }));
  const claim = newClaim();
  const node = join(folder, 'node.xml');
  // Libvirt keeps a domain with a saved state, unless it is asked with a flag, which only virsh has.
  const saved = `<test:runstate xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>5</test:runstate>
    <test:hasmanagedsave xmlns:test='http://libvirt.org/schemas/domain/test/1.0'>1</test:hasmanagedsave></domain>`;
  const domain = xmlOf(claim, { type: 'test' }).replace('</domain>', saved);
  await writeFile(node, `<node>${domain}</node>`);
  const uri = `test://${node}`;
  assert.equal(await domainState(uri, claim.instanceId), 'shut off');
  // virsh reads the file for itself, and finds no such domain.
  await writeFile(node, '<node/>');
  await assert.rejects(removeDomain(uri, claim), failsWith('DomainRemovalFailed', /failed to get domain/));
});

test('a libvirt that is not there is LibvirtUnavailable', async () => {
  const uri = 'qemu+unix:///system?socket=/nonexistent';
  await assert.rejects(domainState(uri, randomUUID()), failsWith('LibvirtUnavailable', /nonexistent/));
});

test('the host is described', async () => {
  const { cpus, memoryMb } = await nodeInfo(testUri);
  assert.deepEqual({ cpus, memoryMb }, { cpus: 16, memoryMb: 3072 });
});

test('a real guest is started once, and removed while it runs', async (t) => {
  if (!(await hasSystemLibvirt(t))) return;
  const claim = newClaim();
  t.after(() => removeDomain(systemUri, claim));
  await defineDomain(systemUri, xmlOf(claim, { type: 'qemu' }), claim);
  for (const _ of [1, 2]) await startDomain(systemUri, claim);
  assert.equal(await domainState(systemUri, claim.instanceId), 'running');
  await removeDomain(systemUri, claim);
  assert.equal(await domainState(systemUri, claim.instanceId), null);
});

for (const type of ['test', 'qemu'] as const) {
  test(`a start that comes in the middle of a removal leaves no guest (${type})`, async (t) => {
    if (type === 'qemu' && !(await hasSystemLibvirt(t))) return;
    const uri = type === 'test' ? testUri : systemUri;
    const claim = newClaim();
    t.after(() => removeDomain(uri, claim));
    for (const remove of [removeDomain, (at: string) => removeDomainOfInstance(at, claim.instanceId)]) {
      await defineDomain(uri, xmlOf(claim, { type }), claim);
      const states: (string | null)[] = [];
      const { undefine } = Domain.prototype;
      const late = t.mock.method(Domain.prototype, 'undefine', async function (this: Domain) {
        late.mock.restore();
        await startDomain(uri, claim);
        await undefine.call(this);
        states.push(await domainState(uri, claim.instanceId));
      });
      await remove(uri, claim);
      assert.deepEqual(states, ['running'], 'libvirt forgets a guest that runs, and lets it run');
      assert.equal(await domainState(uri, claim.instanceId), null);
    }
  });
}

test('a domain that is there again after each removal is reported, not left', async (t) => {
  const claim = newClaim();
  t.after(() => removeDomain(testUri, claim));
  await defineDomain(testUri, xmlOf(claim, { type: 'test' }), claim);
  t.mock.method(Domain.prototype, 'undefine', async () => undefined);
  await assert.rejects(removeDomain(testUri, claim), failsWith('HostIoError', /there again/));
  t.mock.restoreAll();
});

test('a start that QEMU refuses is DomainStartFailed, and the domain can be undone', async (t) => {
  if (!(await hasSystemLibvirt(t))) return;
  const claim = newClaim();
  t.after(() => removeDomain(systemUri, claim));
  const disk = `<devices><disk type='file' device='disk'><driver name='qemu' type='raw'/>
    <source file='/nonexistent/disk'/><target dev='vda' bus='virtio'/></disk></devices></domain>`;
  await defineDomain(systemUri, xmlOf(claim, { type: 'qemu' }).replace('</domain>', disk), claim);
  await assert.rejects(startDomain(systemUri, claim), failsWith('DomainStartFailed', /nonexistent/));
  await removeDomain(systemUri, claim);
  assert.equal(await domainState(systemUri, claim.instanceId), null);
});

test('a domain with a saved state is removed with it', async (t) => {
  if (!(await hasSystemLibvirt(t))) return;
  const claim = newClaim();
  t.after(() => removeDomain(systemUri, claim));
  await defineDomain(systemUri, xmlOf(claim, { type: 'qemu' }), claim);
  await startDomain(systemUri, claim);
  await runProgram('virsh', ['-c', systemUri, 'managedsave', claim.instanceId], { timeoutMs: 120_000 });
  await removeDomain(systemUri, claim);
  assert.equal(await domainState(systemUri, claim.instanceId), null);
});

test('a libvirtd that was killed and started again is found again', async (t) => {
  const daemon = await startPrivateLibvirt(t);
  if (daemon === undefined) return;
  const claim = newClaim();
  await defineDomain(daemon.uri, xmlOf(claim, { type: 'test' }), claim);
  await daemon.kill();
  await assert.rejects(domainState(daemon.uri, claim.instanceId), failsWith('LibvirtUnavailable', /does not answer/));
  await daemon.start();
  assert.equal(await domainState(daemon.uri, claim.instanceId), null, 'the test driver forgets its domains');
  await daemon.kill();
  await daemon.start();
  assert.equal(await defineDomain(daemon.uri, xmlOf(claim, { type: 'test' }), claim), nameOf(claim));
});

test('the binding brings no second Node into the process', async () => {
  const binding = new URL('../../../node_modules/libvirt/build/Release/libvirt.node', import.meta.url).pathname;
  const { stdout } = await runProgram('ldd', [binding], { timeoutMs: 120_000 });
  assert.match(stdout, /libvirt\.so/);
  assert.doesNotMatch(stdout, /libnode/);
});
