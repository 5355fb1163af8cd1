import type { ProgramEnd } from './program-end.ts';

/**
 * Every way in which everboot fails, in one table. A code is what programs test, the meaning and the remedy are
 * what people read. `retryable` decides whether Temporal tries the step again; `imageRefused` gives exit code 3.
 */

interface FailureKind {
  /** True: the same step may succeed later by itself, so Temporal retries it. */
  readonly retryable: boolean;
  /** True: final for the operation, yet what is wrong lies outside the request, which may succeed later unchanged. */
  readonly mayPass?: boolean;
  /** True: an image was judged and refused; the command line exits with 3. */
  readonly imageRefused?: boolean;
  /** The final code that a retryable failure becomes when its time is over. */
  readonly endsAs?: string;
  readonly meaning: string;
  /** The action that a person takes. */
  readonly remedy: string;
  /**
   * The remedy while the boot is parked, where it differs: it is not started again but retried, and on its own host.
   */
  readonly remedyWhenParked?: string;
}

export const failureTable = {
  SpecInvalid: {
    retryable: false,
    meaning: 'The spec has errors; all of them are listed.',
    remedy: 'Correct the listed fields; `everboot schema spec` prints what is allowed.',
  },
  ConfigInvalid: {
    retryable: false,
    meaning: 'The configuration has errors; all of them are listed.',
    remedy:
      'Correct the listed options in the configuration file or the environment; `everboot schema config` prints what is allowed.',
  },
  InstanceExists: {
    retryable: false,
    meaning: 'An instance with this id exists already, made from another spec.',
    remedy: 'Use another id, or delete the instance first with `everboot delete ID`.',
  },
  InstanceBusy: {
    retryable: false,
    mayPass: true,
    meaning: 'Another operation on this instance is running.',
    remedy: 'Wait until it has ended (`everboot show ID`), or cancel it with `everboot cancel ID`.',
  },
  OperationEnded: {
    retryable: false,
    meaning: 'The operation has ended: there is nothing to retry or to abandon.',
    remedy: '`everboot show ID` says how it ended; after a failure the same request may be sent again.',
  },
  OperationSuperseded: {
    retryable: false,
    meaning: 'A late step reached this host after its operation had ended or moved, or had lost its claim.',
    remedy:
      'No action needed: the host removes what it still has of it. `everboot show ID` says where the instance is.',
  },
  InstanceNotFound: {
    retryable: false,
    meaning: 'Neither Temporal nor the host knows this instance.',
    remedy: 'Check the id with `everboot list`; name the host with --host where several poll.',
  },
  NotManaged: {
    retryable: false,
    meaning: 'A directory, a domain or a disk of this id is there, and everboot did not make it.',
    remedy: 'Use another id, or remove it with the tool that made it: everboot never touches what it did not make.',
  },
  HostUnreachable: {
    retryable: false,
    mayPass: true,
    meaning: 'No worker of that host polled in time.',
    remedy: 'Start `everboot worker` on that host, or name another host; then start the same request again.',
    remedyWhenParked: 'Start `everboot worker` on that host; then retry.',
  },
  HostOutdated: {
    retryable: false,
    meaning: 'The worker of that host is of an older release, and does not implement the requested step.',
    remedy: 'Upgrade everboot on that host, or name another host; then start the same request again.',
    remedyWhenParked: 'Upgrade everboot on that host; then retry.',
  },
  HostUnsuitable: {
    retryable: false,
    meaning: 'The host cannot do what the spec or its own configuration asks for.',
    remedy: 'Change what the message names, in the spec or in the host’s configuration.',
  },
  ImageRefInvalid: {
    retryable: false,
    meaning: 'The image reference is neither an image id nor the URL of a Glance image.',
    remedy: 'Give the image’s UUID, or scheme://host:port/v2/images/<id>.',
  },
  ImageNotFound: {
    retryable: false,
    meaning: 'The source has no such image.',
    remedy: 'Check the id or the address; with Glance, check that the project may see the image.',
  },
  ImageNotActive: {
    retryable: false,
    mayPass: true,
    meaning: 'The image exists, but Glance does not serve its data: it is queued, saving, deactivated or deleted.',
    remedy: 'Upload or reactivate the image, then start the boot again.',
    remedyWhenParked: 'Upload or reactivate the image, then retry.',
  },
  ImageForbidden: {
    retryable: false,
    meaning: 'The source refused access to the image.',
    remedy: 'Check the host’s credentials ([glance] cloud) and the image’s visibility.',
  },
  ImageUnacceptable: {
    retryable: false,
    imageRefused: true,
    meaning: 'The image file is malformed, dangerous, or not of the format it was declared to be.',
    remedy: 'Look at it with `everboot image inspect FILE`, convert it to a plain qcow2 or raw image, and upload that.',
  },
  ImageTooLarge: {
    retryable: false,
    imageRefused: true,
    meaning: 'The image is larger than its source said, or than the host allows.',
    remedy: 'Use a smaller image, or raise [glance] image_max_bytes on the host.',
  },
  ImageDigestMismatch: {
    retryable: false,
    imageRefused: true,
    meaning: 'The bytes received do not have the digest that was promised, in a clean fetch from the first byte.',
    remedy:
      'Check the digest in the spec, or upload the image again: what the source serves is not what was registered.',
  },
  ImageUnverifiable: {
    retryable: false,
    imageRefused: true,
    meaning: 'The image comes without a digest.',
    remedy: 'Upload the image again so that Glance computes its hash, or set [glance] allow_unverified on the host.',
  },
  ImageSignatureInvalid: {
    retryable: false,
    imageRefused: true,
    meaning: 'The image’s signature is missing or does not verify.',
    remedy: 'Sign the image with a certificate that the host trusts, or turn verify_glance_signatures off.',
  },
  FlavorDiskTooSmall: {
    retryable: false,
    imageRefused: true,
    meaning: 'The flavor’s root disk is smaller than the image’s virtual size or than its min_disk.',
    remedy: 'Choose a flavor with a larger root disk.',
  },
  FlavorMemoryTooSmall: {
    retryable: false,
    imageRefused: true,
    meaning: 'The flavor has less memory than the image’s min_ram asks for.',
    remedy: 'Choose a flavor with more memory.',
  },
  GlanceConnectionFailed: {
    retryable: false,
    mayPass: true,
    meaning: 'Glance could not be reached, or did not finish, within image_fetch_timeout.',
    remedy: 'Check the servers named in the message, then start the boot again: it resumes from the bytes on disk.',
    remedyWhenParked: 'Check the servers named in the message, then retry: it resumes from the bytes on disk.',
  },
  SourceUnavailable: {
    retryable: false,
    mayPass: true,
    meaning: 'The image’s URL or file could not be read.',
    remedy: 'Check the address, or the path and [host] file_image_roots, then start the boot again.',
    remedyWhenParked: 'Check the address, or the path and [host] file_image_roots, then retry.',
  },
  InsufficientSpace: {
    retryable: false,
    mayPass: true,
    meaning: 'The host’s file system does not have enough space for this boot.',
    remedy: 'Free space on the host, or choose another host; then start the boot again.',
    remedyWhenParked: 'Free space on the host; then retry.',
  },
  ProgramMissing: {
    retryable: false,
    meaning: 'A program that this step needs is not installed on the host.',
    remedy: 'Install the package that the message names.',
  },
  ProgramFailed: {
    retryable: false,
    meaning: 'A program ended with an error.',
    remedy: 'Read the program’s message, and correct what it names.',
  },
  DomainRejected: {
    retryable: false,
    meaning: 'libvirt refused to define the domain.',
    remedy:
      'Read libvirt’s words in the message, and correct what they name; a boot with `onFailure: hold` keeps the libvirt.xml that was refused.',
    remedyWhenParked:
      'Read libvirt’s words in the message (it was given libvirt.xml in the instance directory), correct what they name, then retry.',
  },
  DomainStartFailed: {
    retryable: false,
    meaning: 'libvirt defined the domain, and it or QEMU refused to start it.',
    remedy:
      'Read libvirt’s words in the message, and QEMU’s in /var/log/libvirt/qemu on the host; correct what they name, then start the boot again.',
    remedyWhenParked:
      'Read libvirt’s words in the message, and QEMU’s in /var/log/libvirt/qemu on the host; correct what they name, then retry.',
  },
  DomainMissing: {
    retryable: false,
    meaning: 'The domain was to be started, and is not there: somebody has undefined it.',
    remedy: 'Find out what undefines domains on the host; then start the boot again.',
    remedyWhenParked: 'Find out what undefines domains on the host; then retry, which defines it again.',
  },
  DomainRemovalFailed: {
    retryable: false,
    meaning: 'libvirt refused to stop or to undefine the domain.',
    remedy: 'Read libvirt’s words in the message, correct what they name on the host, and delete the instance again.',
  },
  LibvirtQueryFailed: {
    retryable: false,
    meaning: 'libvirt answers, but refused to list its domains, or to describe one or the host.',
    remedy: 'Read libvirt’s words in the message; `virsh list --all` on the host asks the same.',
  },
  SecretKeyMissing: {
    retryable: false,
    meaning: 'The spec has secrets, and there is no public key to seal them with.',
    remedy: 'Make a key pair with `everboot keygen`, and set [secrets] public_key_file.',
  },
  SecretUnreadable: {
    retryable: false,
    meaning: 'The host cannot open a sealed value: it does not have the private key.',
    remedy: 'Give the host the private key ([secrets] private_key_file), or seal with the public key of that host.',
  },
  Cancelled: {
    retryable: false,
    mayPass: true,
    meaning: 'The operation was cancelled, and everything it made was removed.',
    remedy: 'No action needed; start it again if you still want it.',
  },
  Terminated: {
    retryable: false,
    meaning: 'Somebody terminated the workflow in Temporal, and nothing was undone.',
    remedy: 'Remove what it left with `everboot delete ID`; then it can be started again.',
  },
  InternalError: {
    retryable: false,
    meaning: 'A defect in everboot itself.',
    remedy: 'Report it with the workflow’s history; everything the operation made was removed.',
    remedyWhenParked: 'Report it with the workflow’s history; then abandon it, or retry.',
  },
  UnknownCode: {
    retryable: false,
    meaning: 'A later release failed with a code that this one does not know; the message begins with that code.',
    remedy: 'Do as the message says; upgrade everboot here to see the failure with its own code and remedy.',
  },
  GlanceUnavailable: {
    retryable: true,
    endsAs: 'GlanceConnectionFailed',
    meaning: 'A whole round over the Glance servers failed.',
    remedy: 'No action needed if Glance comes back: the step is retried until image_fetch_timeout.',
  },
  SourceUnreachable: {
    retryable: true,
    endsAs: 'SourceUnavailable',
    meaning: 'The server of an image’s URL does not answer, or broke off.',
    remedy: 'No action needed if it comes back: the step is retried until image_fetch_timeout.',
  },
  BaseImageBusy: {
    retryable: true,
    meaning: 'Another build on the host fetches the same image.',
    remedy: 'No action needed: this build continues when the image is in the cache.',
  },
  SourceChanged: {
    retryable: true,
    meaning: 'The image changed at its source, or a resumed file did not verify; the fetch restarts at the first byte.',
    remedy: 'No action needed, unless it repeats: then the source serves different bytes each time.',
  },
  LibvirtUnavailable: {
    retryable: true,
    meaning: 'libvirt does not answer.',
    remedy: 'Start libvirtd on the host; the step continues by itself.',
  },
  HostIoError: {
    retryable: true,
    meaning: 'The host’s operating system reported an input or output error.',
    remedy: 'Look at the host’s kernel log and disks; the step is tried again.',
  },
  StorageUnavailable: {
    retryable: true,
    meaning: 'A disk’s storage does not answer, or another client still holds the disk.',
    remedy: 'Look at the storage that the message names (Ceph: `ceph -s`, `rbd status`); the step is tried again.',
  },
  ProgramTimedOut: {
    retryable: true,
    meaning: 'A program ran longer than its limit and was ended.',
    remedy: 'Look at the host’s load and disks; the step is tried again.',
  },
  WorkerStopping: {
    retryable: true,
    meaning: 'The worker was stopped in the middle of this step.',
    remedy: 'No action needed: the next worker resumes the step.',
  },
  UsageInvalid: {
    retryable: false,
    meaning: 'The command line has an error.',
    remedy: 'Read `everboot --help`, or `everboot COMMAND --help`.',
  },
  TemporalUnreachable: {
    retryable: true,
    meaning: 'The Temporal server does not answer.',
    remedy: 'Check the address in the message; start `everboot up` where no server runs.',
  },
} as const satisfies Record<string, FailureKind>;

export type FailureCode = keyof typeof failureTable;

/** Whether a text is one of the codes above; what comes out of a history may be of another release. */
export function isFailureCode(text: string): text is FailureCode {
  return Object.hasOwn(failureTable, text);
}

export function failureKind(code: FailureCode): FailureKind {
  return failureTable[code];
}

export interface FailureDetails {
  /** Replaces the table’s remedies where the place of the failure knows a better one. */
  readonly remedy?: string;
  /** The remedy while the operation is parked, where it differs from `remedy`. */
  readonly remedyWhenParked?: string;
  /** One line for each mistake, where several were found together. */
  readonly problems?: readonly string[];
  /** How long to wait before the next attempt, where the failure itself says so. */
  readonly retryAfterMs?: number;
  /** How a program ended, where that is the failure. */
  readonly program?: ProgramEnd;
  readonly cause?: unknown;
}

/**
 * The only error that everboot throws on purpose. The message says what was wrong with which thing and what was
 * expected; it never holds a secret. The activity interceptor turns it into Temporal's ApplicationFailure.
 */
export class EverbootFailure extends Error {
  override readonly name = 'EverbootFailure';
  readonly code: FailureCode;
  readonly remedy: string;
  /** Undefined: the remedy is the same while the operation is parked. */
  readonly remedyWhenParked: string | undefined;
  readonly problems: readonly string[];
  readonly retryAfterMs: number | undefined;
  readonly program: ProgramEnd | undefined;

  constructor(code: FailureCode, message: string, details: FailureDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    const kind = failureKind(code);
    this.remedy = details.remedy ?? kind.remedy;
    this.remedyWhenParked =
      details.remedyWhenParked ?? (details.remedy === undefined ? kind.remedyWhenParked : undefined);
    this.problems = details.problems ?? [];
    this.retryAfterMs = details.retryAfterMs;
    this.program = details.program;
  }

  get retryable(): boolean {
    return failureTable[this.code].retryable;
  }
}
