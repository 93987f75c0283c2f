import test from 'ava';
import {
  DICEBOX_CLASSIFICATION,
  DICEBOX_COMMON,
  DICEBOX_DIALECTS,
  DICEBOX_SENSORY,
  DICEBOX_TRAINING,
} from '../index.ts';

/** What each dialect has, of all services together: method, path, and the status where all went well. */
const ROWS = {
  '2017': [
    'GET /health/plain 201',
    'GET /api/version 201',
    'POST /api/sensory/store 201',
    'POST /api/sensory/request 201',
    'POST /api/sensory/batch 201',
    'POST /api/sensory/poll 201',
    'POST /api/train/request 201',
    'POST /api/classify 201',
    'GET /api/categories 201',
    'GET /api/category 201',
  ],
  '2019': [
    'GET /health/plain 200',
    'GET /api/version 200',
    'GET /api/sensory/category 200',
    'POST /api/sensory/store 200',
    'POST /api/sensory/request 201',
    'POST /api/sensory/batch 202',
    'POST /api/sensory/poll 200',
    'GET /api/train/request 202',
    'POST /api/classify 200',
    'GET /api/categories 200',
    'GET /api/category 200',
  ],
} as const;

test('Each dialect has the routes of its releases, and no other', (t) => {
  for (const dialect of DICEBOX_DIALECTS) {
    const sets = [DICEBOX_COMMON, DICEBOX_SENSORY, DICEBOX_TRAINING, DICEBOX_CLASSIFICATION];
    const rows = sets.flatMap((set) =>
      Object.values(set[dialect]).map(({ method, path, status }) => `${method} ${path} ${status}`),
    );
    t.deepEqual(rows, [...ROWS[dialect]]);
  }
});
