import { z } from 'zod';
import {
  absolutePath,
  flag,
  flavorName,
  flavorNumbers,
  hostName,
  list,
  oneOf,
  record,
  text,
  wholeNumber,
} from './checked-values.ts';
import { fileSystemNames } from './file-systems.ts';
import { isInstanceId } from './host-paths.ts';
import { mkfsEntryPattern } from './mkfs-commands.ts';

const maxMebibytes = 2 ** 24;
const maxBytes = 2 ** 50;
const hour = 3600;
const day = 24 * hour;

/** An option that is null where nobody sets it. */
function orNull<Option extends z.ZodType>(option: Option) {
  return option.optional().transform((value) => value ?? null);
}

/** A folder; what an operator writes may end with a slash. */
function folder(what: string) {
  const expected = `the absolute path of ${what}, without "." and ".."`;
  const pattern = /^(?:\/(?!\.{1,2}(?:\/|$))[^/\p{Cc}\p{Cs}]+)+\/?$/u;
  return text(expected, { maxLength: 1024, pattern }).overwrite((path) => path.replace(/\/$/, ''));
}

function plainName(expected: string, maxLength = 64) {
  return text(expected, { maxLength, pattern: /^[A-Za-z0-9_][A-Za-z0-9._-]*$/ });
}

const apiServer = text('an http or https URL without a name and a password', {
  maxLength: 1024,
  pattern: /^https?:\/\/[^\s\p{Cc}\p{Cs}?#@]+$/u,
})
  .refine((address) => URL.canParse(address), 'an http or https URL without a name and a password')
  .overwrite((address) => address.replace(/\/+$/, '').replace(/\/v2$/, ''));

/**
 * Every option by its section, as the file has them. The names and the defaults are nova.conf's wherever Nova has the
 * option; docs/configuration.md says which these are. Times are in seconds, as there.
 */
export const sections = {
  host: record({
    name: hostName.exactOptional().describe('The host’s name in Temporal and in specs.'),
    instances_path: folder('a folder, not "/"')
      .default('/var/lib/everboot/instances')
      .describe('The folder of the instances and of the image cache; libvirt’s user must be able to reach it.'),
    host_unreachable_after: wholeNumber(5, 30 * day)
      .default(300)
      .describe(
        'Seconds without a worker until the host’s boots report `HostUnreachable`, or move to the next of their `hosts`.',
      ),
    reconcile_interval: wholeNumber(10, 30 * day)
      .default(600)
      .describe('Seconds between two reconciliations of the host, which remove orphans.'),
    reserved_disk_mb: wholeNumber(0, maxMebibytes).default(1024).describe('Disk space that no boot may take, in MiB.'),
    max_concurrent_downloads: wholeNumber(1, 64).default(4).describe('The most images that are fetched at a time.'),
    max_download_bytes_per_second: orNull(wholeNumber(2 ** 16, maxBytes)).describe(
      'The most bytes a second that all fetches of the worker take together.',
    ),
    max_concurrent_disk_ops: wholeNumber(1, 64).default(2).describe('The most disks that are made at a time.'),
    file_image_roots: list(folder('a folder, not "/"'), 64, 'folders')
      .default([])
      .describe('Folders that `{file}` images and direct URLs may be in.'),
    volume_device_roots: list(folder('a folder, not "/"'), 64, 'folders')
      .default([])
      .describe('Folders that the block devices of volumes may be in, such as `/dev/disk/by-id`.'),
    volume_servers: list(
      text('a host name or an address', { maxLength: 253, pattern: /^[A-Za-z0-9.:-]+$/ }),
      64,
      'host names or addresses',
    )
      .default([])
      .describe('NBD servers that volumes may be on.'),
    volume_rbd_pools: list(plainName('the name of a Ceph pool', 127), 64, 'pools')
      .default([])
      .describe('Ceph pools that volumes may be in.'),
    tap_devices: list(
      text('the name of a tap device, or its beginning and "*"', {
        maxLength: 16,
        pattern: /^[A-Za-z0-9_.-]{1,15}\*?$/,
      }),
      64,
      'names of tap devices',
    )
      .default([])
      .describe('Tap devices that interfaces may name; `tap*` stands for every name with that prefix.'),
  }),
  libvirt: record({
    connection_uri: text('a libvirt URI such as qemu:///system', {
      maxLength: 1024,
      pattern: /^[a-z][a-z0-9+.-]*:\/\/[^\s\p{Cc}\p{Cs}]*$/u,
    })
      .default('qemu:///system')
      .describe('libvirt’s connection URI.'),
    unavailable_timeout: wholeNumber(1, day).default(60).describe('Seconds that a boot waits for libvirt.'),
    resume_guests_state_on_host_boot: flag()
      .default(false)
      .describe('Start guests again after a host reboot, if they ran before it.'),
    virt_type: oneOf(['auto', 'kvm', 'qemu', 'lxc', 'uml'])
      .default('auto')
      .describe('How guests run; `auto` is kvm if a probe guest runs under it, else qemu.'),
    cpu_mode: orNull(oneOf(['none', 'host-model', 'host-passthrough', 'maximum'])).describe(
      'The processor of guests; unset it is `host-model` under KVM, and without KVM `maximum`, all that QEMU can emulate.',
    ),
    images_type: oneOf(['default', 'raw', 'flat', 'qcow2', 'lvm', 'rbd'])
      .default('default')
      .describe('The kind of disks; `default` follows `use_cow_images`.'),
    use_cow_images: flag()
      .default(true)
      .describe('Whether disks are qcow2 overlays on the cached image, or raw copies.'),
    force_raw_images: flag().default(true).describe('Whether the cache keeps images as raw, whatever they were.'),
    preallocate_images: oneOf(['none', 'space'])
      .default('none')
      .describe('`space` takes a disk’s whole size from the file system at once.'),
    inject_partition: wholeNumber(-2, 128)
      .default(-2)
      .describe('The partition that files are injected into; -2 injects nothing.'),
    inject_key: flag().default(false).describe('Whether SSH keys are injected into the root disk.'),
    inject_password: flag().default(false).describe('Whether the password is injected into the root disk.'),
    resize_fs_using_block_device: flag()
      .default(false)
      .describe('Whether the file system of a root disk without partitions grows with the disk.'),
    default_ephemeral_format: orNull(oneOf(fileSystemNames)).describe(
      'The file system of ephemeral disks, whatever the os type.',
    ),
    virt_mkfs: list(
      text('linux, windows or default, "=" and a command with %(target)s', {
        maxLength: 1024,
        pattern: mkfsEntryPattern,
      }),
      16,
      'commands by os type',
    )
      .default([])
      .describe('Commands that make the file systems of ephemeral disks: `<os type>=<command>`.'),
    images_volume_group: orNull(plainName('the name of a volume group', 127)).describe(
      'The volume group of `lvm` disks.',
    ),
    sparse_logical_volumes: flag().default(false).describe('Whether logical volumes are thin.'),
    volume_clear: oneOf(['zero', 'shred', 'none'])
      .default('zero')
      .describe('How a logical volume is cleared before it is removed.'),
    volume_clear_size: wholeNumber(0, maxMebibytes)
      .default(0)
      .describe('MiB that are cleared, from the volume’s start; 0: all.'),
    images_rbd_pool: orNull(plainName('the name of a Ceph pool', 127)).describe('The Ceph pool of `rbd` disks.'),
    images_rbd_ceph_conf: orNull(absolutePath('a Ceph configuration')).describe('The Ceph configuration file.'),
    rbd_user: orNull(plainName('the name of a Ceph user', 127)).describe('The Ceph user.'),
    rbd_secret_uuid: orNull(
      text('a UUID in lower case', { maxLength: 36, pattern: /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/ }),
    ).describe('The libvirt secret with the key of that user.'),
    rbd_connect_timeout: wholeNumber(1, hour)
      .default(5)
      .describe('Seconds until a request to Ceph without an answer fails.'),
  }),
  glance: record({
    api_servers: list(apiServer, 64, 'URLs')
      .default([])
      .describe('Base URLs of the Glance servers, with or without `/v2`.'),
    num_retries: wholeNumber(0, 100).default(3).describe('Retries of a failed request.'),
    allowed_direct_url_schemes: list(
      text('a URL’s scheme', { maxLength: 32, pattern: /^[a-z][a-z0-9+.-]*$/ }),
      16,
      'schemes',
    )
      .default([])
      .describe('Schemes of direct URLs under which an image is read past Glance.'),
    cloud: orNull(plainName('the name of a cloud in clouds.yaml')).describe(
      'The cloud in clouds.yaml whose credentials are used; without one those of `OS_CLOUD` or the `OS_*` variables, and without these no token is sent.',
    ),
    verify_glance_signatures: flag().default(false).describe('Whether an image’s signature must verify.'),
    signature_certificates_path: orNull(folder('a folder, not "/"')).describe(
      'The folder of the trusted certificates that image signatures are checked with, `<certificate id>.pem`.',
    ),
    connect_timeout: wholeNumber(1, hour).default(10).describe('Seconds that a connection may take to open.'),
    stall_timeout: wholeNumber(1, hour).default(60).describe('Seconds without data before the connection is dropped.'),
    image_fetch_timeout: wholeNumber(1, 30 * day)
      .default(hour)
      .describe('Seconds that a boot tries to fetch an image.'),
    image_max_bytes: wholeNumber(1, maxBytes)
      .default(2 ** 40)
      .describe('The largest image that is accepted, in bytes.'),
    allow_unverified: flag().default(false).describe('Accept images that come without a digest (insecure).'),
  }),
  image_cache: record({
    subdirectory_name: plainName('a plain name of letters, digits, ".", "_" and "-"')
      .refine((name) => !isInstanceId(name), 'a name that no instance can have')
      .default('_base')
      .describe('The cache’s folder in `instances_path`.'),
    remove_unused_original_minimum_age_seconds: wholeNumber(0, 3650 * day)
      .default(day)
      .describe('Seconds that an unused image stays in the cache.'),
    max_bytes: orNull(wholeNumber(0, maxBytes)).describe('The largest size of the cache, in bytes.'),
    manager_interval: wholeNumber(1, 30 * day)
      .default(2400)
      .describe('Seconds between two sweeps of the cache.'),
    scrub_interval: wholeNumber(60, 3650 * day)
      .default(7 * day)
      .describe('Seconds within which every cached file is compared with its recorded hash.'),
    scrub_bytes_per_second: wholeNumber(2 ** 20, maxBytes)
      .default(64 * 2 ** 20)
      .describe('The most bytes a second that a scrub reads.'),
  }),
  config_drive: record({
    force_config_drive: flag()
      .default(false)
      .describe('Whether every guest gets a config drive, whatever its spec says.'),
    config_drive_format: oneOf(['iso9660', 'vfat']).default('iso9660').describe('The config drive’s file system.'),
    mkisofs_cmd: text('the name or the path of a program', {
      maxLength: 255,
      pattern: /^[A-Za-z0-9_./+][A-Za-z0-9_./+-]*$/,
    })
      .default('xorriso')
      .describe('The program that makes ISO images: xorriso, genisoimage or mkisofs.'),
  }),
  secrets: record({
    public_key_file: orNull(absolutePath('a key file')).describe('The keys that clients seal secrets with.'),
    private_key_file: orNull(absolutePath('a key file')).describe('The keys that this host opens secrets with.'),
  }),
  temporal: record({
    profile: orNull(plainName('the name of a profile', 127)).describe(
      'A profile of Temporal’s own configuration file.',
    ),
    address: orNull(
      text('host:port', { maxLength: 261, pattern: /^(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$/ }),
    ).describe('The Temporal server’s address.'),
    namespace: text('1 to 255 letters, digits, ".", "_" and "-"', { maxLength: 255, pattern: /^[A-Za-z0-9._-]+$/ })
      .default('default')
      .describe('Its namespace.'),
  }),
};

/** `[flavors.<name>]`. */
export const flavorSections = z
  .record(
    flavorName,
    record({
      vcpus: flavorNumbers.vcpus.describe('Virtual processors.'),
      memory_mb: flavorNumbers.memoryMb.describe('Memory, in MiB.'),
      root_gb: flavorNumbers.rootGb.describe('The root disk, in GiB; 0: as large as the image.'),
      ephemeral_gb: flavorNumbers.ephemeralGb.default(0).describe('The ephemeral disk, in GiB; 0: none.'),
      swap_mb: flavorNumbers.swapMb.default(0).describe('The swap disk, in MiB; 0: none.'),
    }),
    'sections [flavors.<name>]',
  )
  .describe('Flavors by their names; one of the name of a built-in flavor takes its place.');
