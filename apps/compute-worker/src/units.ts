export { duration, size } from '@morpheo/service/config';
