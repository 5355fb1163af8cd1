import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readDomainXml } from '../../../hypervisor/libvirt/read-domain-xml.ts';

const metadata =
  "<e:instance xmlns:e='urn:everboot:instance:1'><e:claim operation='op&#45;1' instance='id-1'/></e:instance>";

test('a claim is read whatever prefix, order of attributes, quotes and references the XML has', () => {
  const { claim, type } = readDomainXml(`<domain type="kvm"><metadata>${metadata}</metadata></domain>`);
  assert.deepEqual(claim, { instanceId: 'id-1', operationId: 'op-1' });
  assert.equal(type, 'kvm');
});

test('a claim anywhere else than in everboot’s metadata is none', () => {
  const places = [
    `<domain>${metadata}</domain>`,
    `<domain><metadata><other>${metadata}</other></metadata></domain>`,
    `<domain><metadata>${metadata.replace('instance:1', 'instance:2')}</metadata></domain>`,
    `<domain><metadata><!-- ${metadata} --></metadata></domain>`,
    `<domain><description><![CDATA[<metadata>${metadata}</metadata>]]></description></domain>`,
    `<domain><title>&lt;metadata>${metadata.replaceAll('<', '&lt;')}</title></domain>`,
  ];
  for (const xml of places) assert.equal(readDomainXml(xml).claim, undefined, xml);
});

test('the files of a domain are those of its disks, chains, mirrors, and what it boots from', () => {
  const { files, volumes } = readDomainXml(`<domain type='qemu'>
    <os><kernel>/k&amp;1</kernel><initrd>
      /i</initrd><loader type='pflash'>/l</loader><nvram template='/t'>/n</nvram></os>
    <devices><emulator>/usr/bin/qemu</emulator>
      <disk><source index='1' file="/a&#x2F;b"><seclabel/></source>
        <backingStore><source file='/c'/><backingStore/></backingStore><mirror file='/m'/></disk>
      <disk><source pool='p' volume='v'/></disk><disk><source dev='/dev/sdx'/></disk>
      <!-- <disk><source file='/never'/></disk> -->
    </devices></domain>`);
  assert.deepEqual(new Set(files), new Set(['/k&1', '/i', '/l', '/n', '/a/b', '/c', '/m']));
  assert.deepEqual(volumes, [{ pool: 'p', volume: 'v' }]);
});

test('every absolute path is reported, wherever it stands', () => {
  const { paths } = readDomainXml(
    "<domain><devices><console><log file='/c.log'/></console><x>/y</x><x>z</x></devices></domain>",
  );
  assert.deepEqual(new Set(paths), new Set(['/c.log', '/y']));
});

test('what is no XML is HostIoError, and never a domain without files', () => {
  for (const xml of ['', 'x', '<domain', "<domain><disk file='/a'></domain>", '<domain>&nothing;</domain>']) {
    assert.throws(() => readDomainXml(xml), { code: 'HostIoError' }, xml);
  }
});
