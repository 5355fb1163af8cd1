import { z } from 'zod';
import {
  flag,
  flavorName,
  flavorNumbers,
  hostName,
  list,
  map,
  oneOf,
  record,
  text,
  wholeNumber,
} from './checked-values.ts';
import { ephemerals, swap, volumes, writtenVolumes } from './device-schema.ts';
import { imageReference } from './image-schema.ts';
import { networkData, networkInterface } from './network-schema.ts';
import { osTypes } from './os-types.ts';
import { sealedSecrets, secretValues } from './secret-schema.ts';
import type { SealedSpec } from './spec.ts';

const inlineFlavor = record({
  ...flavorNumbers,
  ephemeralGb: flavorNumbers.ephemeralGb.default(0),
  swapMb: flavorNumbers.swapMb.default(0),
});

/** The blob of every OpenSSH public key begins with the length of its type, four bytes of which two are 0. */
const sshKey = text('one line of authorized_keys: a key type and the key in base64', {
  maxLength: 16 * 1024,
  pattern: /^(?:[^\p{Cc}\p{Cs}]* )?[a-z0-9@.-]+ AAAA[A-Za-z0-9+/]+={0,2}(?: [^\p{Cc}\p{Cs}]*)?$/u,
});

const metadata = map(
  text('1 to 255 characters, no control characters', { minLength: 1, maxLength: 255 }),
  text('a text of at most 255 characters', { maxLength: 255, pattern: /^\P{Cs}*$/u }),
  { maxCount: 128, what: 'texts' },
);

const hostsAre = 'a list of 1 to 16 names of hosts, each of them once';
const hosts = z
  .array(hostName, hostsAre)
  .min(1, hostsAre)
  .max(16, hostsAre)
  .refine((names) => new Set(names).size === names.length, hostsAre);

const ownerText = text('at most 255 characters, no control characters', { maxLength: 255 });

/** The values that fields which are not secret may have, whoever wrote them down. */
const values = {
  id: text('a UUID in lower case', {
    maxLength: 36,
    pattern: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
  }).describe('The instance’s id: a UUID in lower case. The same spec with the same id is the same request.'),
  name: text('a host name: 1 to 63 of a-z, 0-9 and "-", no "-" at either end', {
    maxLength: 63,
    pattern: /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
  }).describe('The instance’s name: 1 to 63 of a-z, 0-9 and "-".'),
  host: hostName.describe('The host that builds and runs the instance.'),
  hosts: hosts.meta({
    description:
      '1 to 16 hosts in the order in which they are tried, instead of `host`: the next one takes over when one is gone.',
    uniqueItems: true,
  }),
  project: ownerText.describe('The owner’s project, for the guest’s metadata and for people.'),
  user: ownerText.describe('The owner, for people.'),
  availabilityZone: ownerText.describe('The availability zone in the guest’s metadata.'),
  hostname: text('a host name: labels of 1 to 63 letters, digits and "-", with dots between them', {
    maxLength: 253,
    pattern: /^(?!-)[A-Za-z0-9-]{1,63}(?<!-)(?:\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*$/,
  }).describe('The host name that the guest gives itself.'),
  launchIndex: wholeNumber(0, 2 ** 31 - 1).describe(
    'The instance’s place among those asked for together, for the guest’s metadata.',
  ),
  flavor: z
    .union([flavorName, inlineFlavor], 'the name of a flavor, or {vcpus, memoryMb, rootGb, ephemeralGb, swapMb}')
    .describe('The name of a configured flavor, or `{vcpus, memoryMb, rootGb, ephemeralGb, swapMb}`.'),
  image: imageReference.describe(
    'What the root disk is made from: `{glance}`, an id or a URL; `{url, digest, format}`; `{file, digest, format}`.',
  ),
  kernel: imageReference.describe('A kernel to boot directly, like `image`.'),
  ramdisk: imageReference.describe('The kernel’s ramdisk, like `image`.'),
  kernelCommandLine: text('at most 2048 characters, no control characters', { maxLength: 2048 }).describe(
    'The kernel’s command line.',
  ),
  osType: oneOf(osTypes).describe(`The guest’s operating system: ${osTypes.join(', ')}.`),
  configDrive: flag().describe('Whether the guest gets a config drive.'),
  metadata: metadata.describe('Texts for the guest’s metadata, by name.'),
  sshKeys: list(sshKey, 100, 'lines of authorized_keys').describe(
    'Public keys for the guest, lines of authorized_keys.',
  ),
  interfaces: list(networkInterface, 16, 'interfaces').describe(
    'Network cards: `{type, source, mac?, model?, tag?}`; the type is `network`, `bridge` or `tap`, the source its name.',
  ),
  networkData: networkData.describe('The contents of network_data.json in the guest.'),
  boot: oneOf(['running', 'defined', 'disks']).describe(
    'How far to go: only the disks, a domain that is defined, or one that runs.',
  ),
  onFailure: oneOf(['undo', 'hold']).describe(
    'After a final failure, `undo` removes everything that was made, and `hold` parks the boot for an operator.',
  ),
  holdFor: wholeNumber(60, 30 * 86_400).describe(
    'Seconds that a parked boot waits for an operator, 60 to 2592000; then it is undone. Only with `onFailure: hold`.',
  ),
};

/** Fields without a default of their own. */
const optional = {
  host: values.host.exactOptional(),
  hosts: values.hosts.exactOptional(),
  holdFor: values.holdFor.exactOptional(),
  launchIndex: values.launchIndex.exactOptional(),
  image: values.image.exactOptional(),
  kernel: values.kernel.exactOptional(),
  ramdisk: values.ramdisk.exactOptional(),
  kernelCommandLine: values.kernelCommandLine.exactOptional(),
  osType: values.osType.exactOptional(),
  ephemerals: ephemerals.exactOptional(),
  swap: swap.exactOptional(),
  networkData: values.networkData.exactOptional(),
};

/** A flavor as it travels: resolved by the client. */
export const resolvedFlavor = record({ name: flavorName, ...flavorNumbers });

/** A spec as its author writes it: the fields in the order in which the documentation has them. */
export const specDocument = record({
  id: values.id.exactOptional(),
  name: values.name,
  host: optional.host,
  hosts: optional.hosts,
  project: values.project.default(''),
  user: values.user.default(''),
  availabilityZone: values.availabilityZone.default(''),
  hostname: values.hostname.exactOptional(),
  launchIndex: values.launchIndex.default(0),
  flavor: values.flavor,
  image: optional.image,
  kernel: optional.kernel,
  ramdisk: optional.ramdisk,
  kernelCommandLine: optional.kernelCommandLine,
  osType: optional.osType,
  ephemerals: optional.ephemerals,
  swap: optional.swap,
  volumes: writtenVolumes.exactOptional(),
  configDrive: values.configDrive.default(true),
  metadata: values.metadata.default({}),
  sshKeys: values.sshKeys.default([]),
  userData: secretValues.userData.exactOptional(),
  adminPassword: secretValues.adminPassword.exactOptional(),
  files: secretValues.files.prefault([]),
  vendorData: secretValues.vendorData.exactOptional(),
  interfaces: values.interfaces.default([]),
  networkData: optional.networkData,
  boot: values.boot.default('running'),
  onFailure: values.onFailure.default('undo'),
  holdFor: optional.holdFor,
}).meta({
  title: 'everboot spec',
  description: 'An instance as it is asked for.',
  // What `contradictions` finds, for editors.
  not: { required: ['host', 'hosts'] },
  dependentSchemas: { holdFor: { properties: { onFailure: { const: 'hold' } }, required: ['onFailure'] } },
});

/** A spec as it travels: every default filled in, its secrets sealed. */
export const sealedSpec = record({
  ...values,
  ...optional,
  volumes: volumes.exactOptional(),
  secrets: sealedSecrets,
}) satisfies z.ZodType<SealedSpec>;
