import { eventually } from '@morpheo/service/testing';
import test from 'ava';
import { type Room, watchRoom } from './disk-full.ts';

test('A disk that was full for a moment is remembered, though it has room again', async (t) => {
  const asked: Room[] = [];
  const rooms = [5_000_000, 0, 7_000_000];
  const look = async () => {
    const room = { free: rooms[asked.length] ?? 8_000_000, total: 9_000_000 };
    asked.push(room);
    return room;
  };
  using watch = watchRoom('/somewhere', look, 1);
  await eventually(t, (t) => t.true(asked.length > 3));
  t.deepEqual(await watch.least(), { free: 0, total: 9_000_000 });
});

test('A disk that cannot be asked for a while is asked again', async (t) => {
  let asks = 0;
  const look = async (): Promise<Room> => {
    asks += 1;
    if (asks < 3) throw new Error('away');
    return { free: 3, total: 4 };
  };
  using watch = watchRoom('/somewhere', look, 1);
  await eventually(t, (t) => t.true(asks >= 3));
  t.deepEqual(await watch.least(), { free: 3, total: 4 });
});
