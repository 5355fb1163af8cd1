import { z } from 'zod';
import { absolutePath, flag, list, oneOf, record, text, wholeNumber } from './checked-values.ts';
import { deviceBusNames, deviceNamePattern } from './disk-devices.ts';
import { fileSystemNames } from './file-systems.ts';
import type { EphemeralDevice, SwapDevice, VolumeDevice } from './spec.ts';

/** The limits are far beyond any guest; they catch units that were mistaken, and lists that were not meant. */
const maxGibibytes = 2 ** 16;
const maxMebibytes = 2 ** 20;
const maxEphemerals = 64;
const maxVolumes = 64;

/** Nova's rule for the tags of devices (nova/api/validation/parameter_types.py). */
export const deviceTag = text('1 to 60 characters, no control characters, no "," and no "/"', {
  minLength: 1,
  maxLength: 60,
  pattern: /^[^,/\p{Cc}\p{Cs}]+$/u,
});

/** Keys that every device of the guest takes. */
const wishes = {
  device: text('the name of a device in the guest, such as vdb', {
    maxLength: 8,
    pattern: deviceNamePattern,
  }).exactOptional(),
  bus: oneOf(deviceBusNames).exactOptional(),
  tag: deviceTag.exactOptional(),
};

const ephemeral = record({
  sizeGb: wholeNumber(1, maxGibibytes),
  fileSystem: oneOf(fileSystemNames).exactOptional(),
  ...wishes,
}) satisfies z.ZodType<EphemeralDevice>;

/** Ephemeral disks by mappings of their own. */
export const ephemerals = list(ephemeral, maxEphemerals, 'ephemeral disks').describe(
  'Ephemeral disks instead of the flavor’s one, no larger than it together: `{sizeGb, fileSystem?, device?, bus?, tag?}`.',
);

/** The swap disk by a mapping of its own. */
export const swap = (
  record({ sizeMb: wholeNumber(1, maxMebibytes), ...wishes }) satisfies z.ZodType<SwapDevice>
).describe('A swap disk instead of the flavor’s, no larger than that: `{sizeMb, device?, bus?, tag?}`.');

const volumeWishes = {
  boot: flag().exactOptional(),
  readOnly: flag().exactOptional(),
  deviceType: oneOf(['disk', 'cdrom']).exactOptional(),
  ...wishes,
};

const serverName = text('a host name or an address', { minLength: 1, maxLength: 253, pattern: /^[A-Za-z0-9.:-]+$/ });

const rbdName = (expected: string) =>
  text(expected, { minLength: 1, maxLength: 127, pattern: /^[A-Za-z0-9_][A-Za-z0-9._-]*$/ });

const nbdExport = text('the name of an export: at most 1024 characters, no control characters', { maxLength: 1024 });
const nbdServer = { host: serverName, port: wholeNumber(1, 65535) };

const places = {
  block: absolutePath('a block device of the host', 1024),
  nbd: record({ ...nbdServer, export: nbdExport }),
  rbd: record({ pool: rbdName('the name of a Ceph pool'), image: rbdName('the name of an image in a Ceph pool') }),
};

const volumeForms = '{block}, {nbd: {host, port, export}} or {rbd: {pool, image}}, with boot, readOnly, deviceType';

/** A volume as its author writes it: the place is a key of its own. */
const writtenVolume = z.union(
  [
    record({ block: places.block, ...volumeWishes }),
    record({ nbd: record({ ...nbdServer, export: nbdExport.default('') }), ...volumeWishes }),
    record({ rbd: places.rbd, ...volumeWishes }),
  ],
  volumeForms,
);

function volumeDevice(written: z.output<typeof writtenVolume>): VolumeDevice {
  if ('block' in written) {
    const { block, ...asked } = written;
    return { source: { block }, ...asked };
  }
  if ('nbd' in written) {
    const { nbd, ...asked } = written;
    return { source: { nbd }, ...asked };
  }
  const { rbd, ...asked } = written;
  return { source: { rbd }, ...asked };
}

const volumesAre = `a list of at most ${maxVolumes} volumes, at most one of them with boot`;

/** Whether a guest has one root at most, as Nova's boot sequence must have one disk of the index 0. */
function hasOneRoot(volumes: readonly { readonly boot?: boolean }[]): boolean {
  return volumes.filter(({ boot }) => boot === true).length <= 1;
}

/** Volumes in the form of a spec's author. */
export const writtenVolumes = list(writtenVolume.transform(volumeDevice), maxVolumes, 'volumes')
  .refine(hasOneRoot, volumesAre)
  .describe(
    'Disks that are there already: `{block}`, `{nbd: {host, port, export}}` or `{rbd: {pool, image}}`, with `boot?`, `readOnly?`, `deviceType?`, `device?`, `bus?`, `tag?`.',
  );

/** Volumes in the form in which they travel. */
export const volumes = list(
  record({
    source: z.union(
      [record({ block: places.block }), record({ nbd: places.nbd }), record({ rbd: places.rbd })],
      '{block}, {nbd: {host, port, export}} or {rbd: {pool, image}}',
    ),
    ...volumeWishes,
  }) satisfies z.ZodType<VolumeDevice>,
  maxVolumes,
  'volumes',
).refine(hasOneRoot, volumesAre);
