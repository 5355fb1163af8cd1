/*
 * The messages of guestfish of libguestfs 1.48, and those of its appliance's kernel (Linux 6.1) in the log.
 */

/** The kernel's reasons at the end of a complaint. Everything else might quote a path. */
const knownReasons =
  /: ((?:No such file or|Is a|Not a) directory|No space left on device|Read-only file system|File name too long|File exists|Permission denied|Operation not permitted|Structure needs cleaning|Input\/output error|Bad message|Too many levels of symbolic links|Disk quota exceeded)$/i;

/** Why a command failed, in words that quote no path. */
export function reasonIn(complaint: string): string {
  return knownReasons.exec(complaint)?.[1] ?? 'it failed';
}

/**
 * How the appliance's kernel reports that one of its two disks, which are files of the host, did not read or write.
 * Which of them is its sda is another matter than what guestfish calls so.
 */
const diskErrors =
  /^.*\b(?:I\/O|critical \w+(?: \w+)?) error, dev sd[ab], sector \d+ op 0x[0-9a-f]+:\((?:READ|WRITE|FLUSH)\)/m;

/** The first line of the kernel's log that says so; undefined: none does. */
export function diskErrorIn(kernelLog: string): string | undefined {
  return diskErrors.exec(kernelLog)?.[0];
}

/**
 * Without warnings and without "*stdin*:12: libguestfs: error:" in front, on one line, and short enough for a history.
 */
export function plainWords(complaint: string): string {
  return complaint
    .replaceAll(/^\*stdin\*:\d+: /gm, '')
    .replaceAll(/^libguestfs: warning: .*$/gm, '')
    .replaceAll('libguestfs: error: ', '')
    .replaceAll(/[\p{Cc}\s]+/gu, ' ')
    .trim()
    .slice(0, 300);
}
