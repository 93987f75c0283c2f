import { PlatformError, type Sample } from '@morpheo/common';
import type { ResourceRow, StorageTransaction } from '../metadata/schema.ts';
import { isKnown } from '../permissions/relations.ts';
import { chunksOf } from './sets.ts';

/** So many ids are in one statement. */
const MOST_IDS = 10_000;

/** The data sets that the owner of a problem has named as its sample, whatever became of them since. */
export function sampleOf({ sample }: Pick<ResourceRow, 'sample'>): Sample {
  return sample === '' ? { train_data: [], test_data: [] } : (JSON.parse(sample) as Sample);
}

/** Whether a data set is in the public sample of a problem: named in it, open, and of the problem's owner. */
export function isPublic(data: ResourceRow, problem: ResourceRow): boolean {
  const { train_data, test_data } = sampleOf(problem);
  return (train_data.includes(data.uuid) || test_data.includes(data.uuid)) && canBePublic(data, problem);
}

/** Whether the owner of a problem may make this data set public in it. */
function canBePublic(data: Pick<ResourceRow, 'owner' | 'visibility'>, { owner }: ResourceRow): boolean {
  return isKnown(owner) && data.owner === owner && data.visibility === 'open';
}

/** Of the samples of problems what is public now, by the problem's id; one that nothing can be tried on is absent. */
export async function publicSamplesOf(
  read: StorageTransaction,
  problems: readonly ResourceRow[],
): Promise<ReadonlyMap<string, Sample>> {
  const found = await dataOf(read, problems.map(sampleOf));
  const samples = problems.map((problem): [string, Sample] => {
    const isIn = (uuid: string) => {
      const row = found.get(uuid);
      return row !== undefined && canBePublic(row, problem);
    };
    const { train_data, test_data } = sampleOf(problem);
    return [problem.uuid, { train_data: train_data.filter(isIn), test_data: test_data.filter(isIn) }];
  });
  return new Map(
    samples.filter(([, { train_data, test_data }]) => train_data.length > 0 && test_data.length > 0),
  );
}

/**
 * Throws `invalid_request` where a sample names anything but open data sets of the problem's owner. It tells nothing of
 * what others have.
 */
export async function requirePublic(
  read: StorageTransaction,
  problem: ResourceRow,
  sample: Sample,
): Promise<void> {
  const found = await dataOf(read, [sample]);
  for (const uuid of [...sample.train_data, ...sample.test_data]) {
    const row = found.get(uuid);
    if (row !== undefined && canBePublic(row, problem)) continue;
    const whose = isKnown(problem.owner) ? problem.owner : 'an owner who is known';
    throw new PlatformError(
      'invalid_request',
      row !== undefined && isKnown(problem.owner) && row.owner === problem.owner
        ? `The data set ${uuid} is not open, and all is shown of a sample. First: morpheo share data ${uuid} --visibility open`
        : `There is no data set ${uuid} of ${whose}. A sample names open data sets of the problem's owner alone: upload it as that owner, or leave it out.`,
    );
  }
}

async function dataOf(
  read: StorageTransaction,
  samples: readonly Sample[],
): Promise<ReadonlyMap<string, Pick<ResourceRow, 'owner' | 'visibility'>>> {
  const ids = new Set(samples.flatMap(({ train_data, test_data }) => [...train_data, ...test_data]));
  const found = new Map<string, Pick<ResourceRow, 'owner' | 'visibility'>>();
  for (const some of chunksOf([...ids], MOST_IDS)) {
    const rows = await read
      .selectFrom('resources')
      .select(['uuid', 'owner', 'visibility'])
      .where('type', '=', 'data')
      .where('uuid', 'in', some)
      .execute();
    for (const row of rows) found.set(row.uuid, row);
  }
  return found;
}
