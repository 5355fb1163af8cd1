/*
 * The messages of `rbd` and `ceph` of Ceph 16.2. `rbd` also ends with an error's number, `ceph` with none but 1.
 */

/** Whether a monitor or an OSD has not answered in time. */
export function saysSilence(words: string): boolean {
  return /\(110\)|timed out|TimedOut/.test(words);
}

/**
 * Whether the cluster, the pool or the right to use it is missing, which by its number alone looks like an absent
 * image.
 */
export function saysNoAccess(words: string): boolean {
  if (/error opening pool .*: \(2\)|\(1\) Operation not permitted|\(13\) Permission denied/.test(words)) return true;
  return /couldn't connect to the cluster|unable to open config file/.test(words) && !saysSilence(words);
}

/** A program's own words, without the log lines around them, short enough for a message. */
export function ownWords(words: string): string {
  const own = words.split(/[\r\n]+/).filter((line) => /^(rbd|ceph|Error|error|unable|global_init)/.test(line));
  return (own.length === 0 ? words : own.join('; ')).trim().slice(-300);
}
