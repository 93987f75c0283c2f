import { withParts } from '@morpheo/real-parts';
import test from 'ava';
import { testDatabase } from '../testing/conformance.ts';
import { sharedPostgres } from '../testing/engines.ts';
import { placeOn } from './testing.fixture.ts';

const server = sharedPostgres(test);

testDatabase({
  name: 'postgres',
  shared: true,
  test: withParts(test, 'postgres'),
  place: async () => placeOn(await server()),
});
