/**
 * Does the work for each item, so many at once. After a failure nothing more is started, and what was started is waited
 * for: nothing continues behind the caller's back. Throws that first failure, or the signal's reason when it is aborted
 * in between.
 */
export async function mapConcurrently<Item, Made>(
  items: readonly Item[],
  { atOnce, signal }: { readonly atOnce: number; readonly signal: AbortSignal },
  work: (item: Item) => Promise<Made>,
): Promise<Made[]> {
  const made: Made[] = [];
  const failures: unknown[] = [];
  const left = items.entries();
  const one = async (): Promise<void> => {
    for (const [index, item] of left) {
      if (failures.length > 0) return;
      try {
        signal.throwIfAborted();
        made[index] = await work(item);
      } catch (error) {
        failures.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, one));
  if (failures.length > 0) throw failures[0];
  return made;
}
