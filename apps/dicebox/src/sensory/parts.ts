import type { Peers } from '../clients.ts';
import type { DiceboxDatabase } from '../db/schema.ts';
import type { Batches } from './batches.ts';
import type { Giving } from './giving.ts';
import type { Samples } from './samples.ts';
import type { PictureSets } from './sets.ts';
import type { PictureSnapshots } from './snapshots.ts';
import type { LabelledSets } from './views.ts';

/** What the routes for pictures are made of. */
export interface SensoryParts {
  readonly database: DiceboxDatabase;
  readonly storage: Pick<Peers['storage'], 'getDataBlob'>;
  readonly sets: PictureSets;
  readonly snapshots: PictureSnapshots;
  readonly batches: Batches;
  readonly samples: Samples;
  readonly labelled: LabelledSets;
  readonly giving: Giving;
  /** Pictures have come: what fills shards is packed in the background. */
  readonly wakePacking: () => void;
}
