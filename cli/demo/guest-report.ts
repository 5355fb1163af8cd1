/** One disk or partition, as the guest's own kernel sees it. */
export interface ReportedDisk {
  /** `vda`, `vda1`, `sr0` … */
  readonly name: string;
  readonly sizeBytes: number;
  /** `ext`, `vfat`, `swap`, `iso9660`; empty where the guest knows nothing of it. */
  readonly type: string;
  readonly label: string;
}

/** The report that the demo's guest prints on its console. */
export interface GuestReport {
  readonly disks: readonly ReportedDisk[];
  /** The swap space that it uses, a little less than the disk. */
  readonly swap: readonly { readonly name: string; readonly sizeBytes: number }[];
  /** Null until it has read its config drive. */
  readonly hostname: string | null;
  readonly sshKeys: readonly string[];
  /** True: the report is complete. */
  readonly done: boolean;
  /** Why the guest cannot continue; null while nothing is wrong. */
  readonly failure: string | null;
}

const reportLine = /everboot-report: (\w[\w-]*) ?([^\r\n]*)/g;
const diskWords = /^(\S+) (\d+) type=(\S*) label=(.*)$/;
const swapWords = /^(\S+) (\d+)$/;

/** Reads a console, whatever else is on it; a line that is cut off, or is none of the guest's, is left out. */
export function parseGuestReport(console: string): GuestReport {
  const wholeLines = console.slice(0, console.lastIndexOf('\n') + 1);
  const reported = [...wholeLines.matchAll(reportLine)].map(([, word = '', rest = '']) => ({
    word,
    rest: rest.trim(),
  }));
  const restsOf = (word: string): string[] => reported.filter((line) => line.word === word).map(({ rest }) => rest);
  return {
    disks: restsOf('disk').flatMap((rest) => {
      const [, name, size, type, label] = diskWords.exec(rest) ?? [];
      if (name === undefined || type === undefined || label === undefined) return [];
      return [{ name, sizeBytes: Number(size), type, label }];
    }),
    swap: restsOf('swap').flatMap((rest) => {
      const [, name, size] = swapWords.exec(rest) ?? [];
      return name === undefined ? [] : [{ name, sizeBytes: Number(size) }];
    }),
    hostname: restsOf('hostname').at(-1) ?? null,
    sshKeys: restsOf('ssh-key'),
    done: restsOf('done').length > 0,
    failure: restsOf('failed').at(-1) ?? null,
  };
}

/** The values that the guest should have seen. */
export interface ExpectedGuest {
  readonly rootBytes: number;
  readonly ephemeralBytes: number;
  readonly swapBytes: number;
  readonly hostname: string;
  readonly sshKey: string;
}

/** Each difference between the guest's report and the request, a line each; empty when all is well. */
export function missingFrom(report: GuestReport, expected: ExpectedGuest): string[] {
  const { rootBytes, ephemeralBytes, swapBytes, hostname, sshKey } = expected;
  const hasDisk = (sizeBytes: number, label?: string): boolean =>
    report.disks.some((disk) => disk.sizeBytes === sizeBytes && (label === undefined || disk.label === label));
  // The first page of a swap area is its header.
  const hasSwap = report.swap.some(({ sizeBytes }) => sizeBytes > 0 && swapBytes - sizeBytes <= 65_536);
  const facts: [boolean, string][] = [
    [report.done, 'the end of its report'],
    [hasDisk(rootBytes), `a root disk of ${rootBytes} bytes`],
    [report.disks.some(({ label }) => label === 'cloudimg-rootfs'), 'a file system labelled cloudimg-rootfs'],
    [hasDisk(ephemeralBytes, 'ephemeral0'), `a disk of ${ephemeralBytes} bytes labelled ephemeral0`],
    [hasSwap, `${swapBytes} bytes of swap in use`],
    [report.hostname === hostname, `the host name ${hostname}`],
    [report.sshKeys.includes(sshKey), 'the ssh key'],
  ];
  return facts.filter(([isSeen]) => !isSeen).map(([, fact]) => fact);
}
