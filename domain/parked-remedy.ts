/**
 * A remedy as it reads while the boot waits for an operator: it is not started again but retried, and on its own host. The
 * table's words are of boots that have ended.
 */
export function parkedRemedy(remedy: string): string {
  return remedy.replace(/, or (choose|name) another host/, '').replace(/start the (boot|same request) again/, 'retry');
}
