/*
 * The limit of the engine ipsec-mb: libIPSec_MB called from C in one thread, on packets of the same sizes, in a ring of the
 * size that a worker's batch takes, and nothing else per packet. AES-GCM through gcm*_enc and gcm*_dec; the other suites
 * through jobs, whose lanes are never flushed while the clock runs. Several keys take turns, of TRAIN packets each; with AES-GCM the clock then stops
 * between two batches, as that of the worker does: packets are made anew, and those to open are sealed with keys of their other
 * ends, which take as much of the caches again.
 *
 *   ipsec-mb DIRECTION CIPHER ENCRYPTION_KEY_LENGTH HASH ICV_LENGTH IV_LENGTH TEXT_LENGTH AAD_LENGTH STRIDE PACKETS KEYS TRAIN
 *
 * Where things lie in the library's structures comes from src/crypto/engines/ipsec-mb-layout.ts as macros, so its headers
 * are not needed. Lines on standard input: "check" answers with the first packet as sealed, in hex, for another
 * implementation to compare; "measure MS" with the packets done and the nanoseconds they took.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HEADER 8 /* SPI and sequence number */
#define NONCE 12
#define KEY_ROOM 1024

typedef void (*gcm_fn)(const void *, void *, uint8_t *, const uint8_t *, uint64_t, const uint8_t *, const uint8_t *,
                       uint64_t, uint8_t *, uint64_t);
typedef void *(*job_fn)(void *);

static uint8_t *manager, *keys, *ends, *made, *ring, *nonces, *tags;
static int opening, chacha, gcm, key_length, hash, icv_length, iv_length, text_length, aad_length, stride, packets, key_count, train;

static void *function(int at) { return *(void **)(manager + at); }

static void fail(const char *reason) {
  fprintf(stderr, "%s\n", reason);
  exit(1);
}

static void load(void) {
  void *library = dlopen("libIPSec_MB.so.1", RTLD_NOW);
  if (library == NULL) fail(dlerror());
  unsigned (*version)(void) = (unsigned (*)(void))dlsym(library, "imb_get_version");
  void *(*allocate)(uint64_t) = (void *(*)(uint64_t))dlsym(library, "alloc_mb_mgr");
  void (*initialise)(void *, int *) = (void (*)(void *, int *))dlsym(library, "init_mb_mgr_auto");
  if (version == NULL || allocate == NULL || initialise == NULL || version() != KNOWN_VERSION) fail("another version");
  int arch;
  manager = allocate(0);
  if (manager == NULL) fail("no manager");
  initialise(manager, &arch);
}

/* The state of the hash after the key and a pad (RFC 2104 section 2). */
static void hmac_state(const uint8_t *key, int length, uint8_t pad, uint8_t *state) {
  uint8_t block[128];
  const int at = hash == HASH_HMAC_SHA_1     ? MGR_SHA1_ONE_BLOCK
                 : hash == HASH_HMAC_SHA_256 ? MGR_SHA256_ONE_BLOCK
                 : hash == HASH_HMAC_SHA_384 ? MGR_SHA384_ONE_BLOCK
                                             : MGR_SHA512_ONE_BLOCK;
  memset(block, pad, sizeof block);
  for (int i = 0; i < length; i++) block[i] ^= key[i];
  ((void (*)(const void *, void *))function(at))(block, state);
}

/* Key n: octet i of the encryption key is i + n, of the integrity key 128 + i + n. */
static void expand(int n, uint8_t *all) {
  uint8_t *to = all + (size_t)n * KEY_ROOM;
  uint8_t key[64];
  for (int i = 0; i < key_length; i++) key[i] = (uint8_t)(i + n);
  if (chacha) {
    memcpy(to + KEY_MEMORY_ENCRYPT, key, 32);
  } else if (gcm) {
    const int at = key_length == 16 ? MGR_GCM128_PRE : MGR_GCM256_PRE;
    ((void (*)(const void *, void *))function(at))(key, to);
  } else {
    const int at = key_length == 16 ? MGR_KEYEXP_128 : MGR_KEYEXP_256;
    ((void (*)(const void *, void *, void *))function(at))(key, to + KEY_MEMORY_ENCRYPT, to + KEY_MEMORY_DECRYPT);
    const int length = hash == HASH_HMAC_SHA_1 ? 20 : icv_length * 2;
    for (int i = 0; i < length; i++) key[i] = (uint8_t)(128 + i + n);
    hmac_state(key, length, 0x36, to + KEY_MEMORY_INNER);
    hmac_state(key, length, 0x5c, to + KEY_MEMORY_OUTER);
  }
}

static struct {
  int key, had; /* Which one has the next packet, and how many it had since it was another's turn. */
} next;

static uint8_t *take_key_of(uint8_t *all) {
  uint8_t *key = all + (size_t)next.key * KEY_ROOM;
  if (++next.had == train) {
    next.had = 0;
    if (++next.key == key_count) next.key = 0;
  }
  return key;
}

static uint8_t *take_key(void) { return take_key_of(keys); }

static void one_by_gcm(int i, int open, uint8_t *key) {
  uint8_t context[256] __attribute__((aligned(64)));
  uint8_t *packet = ring + (size_t)i * stride;
  uint8_t *text = packet + HEADER + iv_length;
  const int at = key_length == 16 ? (open ? MGR_GCM128_DEC : MGR_GCM128_ENC) : (open ? MGR_GCM256_DEC : MGR_GCM256_ENC);
  ((gcm_fn)function(at))(key, context, text, text, text_length, nonces + i * 16, packet, aad_length,
                         open ? tags + i * 64 : text + text_length, icv_length);
}

static void put64(uint8_t *job, int at, uint64_t value) { memcpy(job + at, &value, 8); }
static void put32(uint8_t *job, int at, uint32_t value) { memcpy(job + at, &value, 4); }

static void one_by_job(int i, int open) {
  uint8_t *packet = ring + (size_t)i * stride;
  uint8_t *text = packet + HEADER + iv_length;
  uint8_t *key = take_key();
  uint8_t *job = ((job_fn)function(MGR_GET_NEXT_JOB))(manager);
  put64(job, JOB_ENC_KEYS, (uint64_t)(key + KEY_MEMORY_ENCRYPT));
  put64(job, JOB_DEC_KEYS, (uint64_t)(key + (chacha ? KEY_MEMORY_ENCRYPT : KEY_MEMORY_DECRYPT)));
  put64(job, JOB_KEY_LENGTH, key_length);
  put64(job, JOB_SRC, (uint64_t)packet);
  put64(job, JOB_DST, (uint64_t)text);
  put64(job, JOB_CIPHER_OFFSET, HEADER + iv_length);
  put64(job, JOB_CIPHER_LENGTH, text_length);
  put64(job, JOB_TAG, (uint64_t)(open ? tags + i * 64 : text + text_length));
  put64(job, JOB_TAG_LENGTH, icv_length);
  put32(job, JOB_CIPHER_MODE, chacha ? CIPHER_MODE_CHACHA20_POLY1305 : CIPHER_MODE_CBC);
  put32(job, JOB_DIRECTION, open ? DIRECTION_DECRYPT : DIRECTION_ENCRYPT);
  put32(job, JOB_HASH_ALGORITHM, hash);
  put32(job, JOB_CHAIN_ORDER, open ? ORDER_HASH_CIPHER : ORDER_CIPHER_HASH);
  if (chacha) {
    put64(job, JOB_HASH_OFFSET, HEADER + iv_length);
    put64(job, JOB_HASH_LENGTH, text_length);
    put64(job, JOB_IV, (uint64_t)(nonces + i * 16));
    put64(job, JOB_IV_LENGTH, NONCE);
    put64(job, JOB_AAD, (uint64_t)packet);
    put64(job, JOB_AAD_LENGTH, aad_length);
    put64(job, JOB_AEAD_CONTEXT, 0);
  } else {
    put64(job, JOB_HASH_OFFSET, 0);
    put64(job, JOB_HASH_LENGTH, HEADER + iv_length + text_length);
    put64(job, JOB_IV, (uint64_t)(packet + HEADER));
    put64(job, JOB_IV_LENGTH, iv_length);
    put64(job, JOB_HMAC_INNER, (uint64_t)(key + KEY_MEMORY_INNER));
    put64(job, JOB_HMAC_OUTER, (uint64_t)(key + KEY_MEMORY_OUTER));
  }
  uint8_t *done = ((job_fn)function(MGR_SUBMIT_JOB))(manager);
  while (done != NULL) done = ((job_fn)function(MGR_GET_COMPLETED_JOB))(manager);
}

static void one(int i, int open) {
  if (gcm) one_by_gcm(i, open, take_key());
  else one_by_job(i, open);
}

static void flush(void) {
  if (!gcm) while (((job_fn)function(MGR_FLUSH_JOB))(manager) != NULL);
}

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + t.tv_nsec;
}

static void answer(uint64_t done, uint64_t spent) {
  printf("%llu %llu\n", (unsigned long long)done, (unsigned long long)spent);
}

static void measure_batches(uint64_t ns) {
  uint64_t spent = 0, done = 0;
  for (; spent < ns; done += packets) {
    const __typeof__(next) first = next;
    memcpy(ring, made, (size_t)packets * stride);
    if (opening) {
      for (int i = 0; i < packets; i++) one_by_gcm(i, 0, take_key_of(ends));
      next = first;
    }
    const uint64_t begin = now();
    for (int i = 0; i < packets; i++) one_by_gcm(i, opening, take_key());
    spent += now() - begin;
  }
  if (opening && memcmp(tags, ring + HEADER + iv_length + text_length, icv_length) != 0) fail("ICV differs");
  answer(done, spent);
}

static void measure(uint64_t ns) {
  const uint64_t begin = now();
  uint64_t spent, done = 0;
  do {
    for (int turn = 0; turn < 16; turn++)
      for (int i = 0; i < packets; i++) one(i, opening);
    done += 16 * (uint64_t)packets;
    spent = now() - begin;
  } while (spent < ns);
  flush();
  answer(done, spent);
}

/* Octet i of a packet is 13 i + 5, of a nonce 3 i + 1. */
static void fill(void) {
  for (int n = 0; n < packets; n++)
    for (int i = 0; i < HEADER + iv_length + text_length; i++) ring[(size_t)n * stride + i] = (uint8_t)(13 * i + 5);
  for (int i = 0; i < packets * 16; i++) nonces[i] = (uint8_t)(3 * (i % 16) + 1);
}

static void check(void) {
  const int text = HEADER + iv_length;
  fill();
  next.key = next.had = 0;
  one(0, 0);
  flush();
  for (int i = 0; i < text_length + icv_length; i++) printf("%02x", ring[text + i]);
  next.key = next.had = 0;
  one(0, 1);
  flush();
  for (int i = 0; i < text_length; i++)
    if (ring[text + i] != (uint8_t)(13 * (text + i) + 5)) fail("opened text differs");
  if (memcmp(tags, ring + text + text_length, icv_length) != 0) fail("ICV differs");
  next.key = next.had = 0;
  printf("\n");
}

int main(int count, char **words) {
  if (count != 13) fail("see the head of ipsec-mb.c");
  opening = strcmp(words[1], "open") == 0;
  chacha = strcmp(words[2], "chacha20-poly1305") == 0;
  gcm = strcmp(words[2], "aes-gcm") == 0;
  int *numbers[] = {&key_length, &hash,   &icv_length, &iv_length, &text_length,
                    &aad_length, &stride, &packets,    &key_count, &train};
  for (int i = 0; i < 10; i++) *numbers[i] = atoi(words[3 + i]);
  load();
  ring = aligned_alloc(64, (size_t)stride * packets);
  keys = aligned_alloc(64, (size_t)key_count * KEY_ROOM);
  nonces = aligned_alloc(64, packets * 16);
  tags = aligned_alloc(64, packets * 64);
  if (ring == NULL || keys == NULL || nonces == NULL || tags == NULL) fail("no memory");
  memset(keys, 0, (size_t)key_count * KEY_ROOM);
  for (int n = 0; n < key_count; n++) expand(n, keys);
  fill();
  const int in_batches = gcm && key_count > 1;
  if (in_batches) {
    made = aligned_alloc(64, (size_t)stride * packets);
    ends = aligned_alloc(64, (size_t)key_count * KEY_ROOM);
    if (made == NULL || ends == NULL) fail("no memory");
    memcpy(made, ring, (size_t)stride * packets);
    if (opening)
      for (int n = 0; n < key_count; n++) expand(n, ends);
  }
  char line[64];
  while (fgets(line, sizeof line, stdin) != NULL) {
    if (strncmp(line, "check", 5) == 0) check();
    else if (strncmp(line, "measure ", 8) == 0) {
      const uint64_t ns = strtoull(line + 8, NULL, 10) * 1000000u;
      if (in_batches) measure_batches(ns);
      else measure(ns);
    }
    else fail("unknown command");
    fflush(stdout);
  }
  return 0;
}
