/* rtnl_frames.h - what the tests of rn_rtnl.c share: the recorded messages.
 *
 * They are the fuzzer's corpus, one file per kernel feature, made by
 * tests/fuzz/capture.py.
 */
#ifndef RTNL_FRAMES_H
#define RTNL_FRAMES_H

#include <dirent.h>
#include <stdbool.h>
#include <string.h>

#include <arpa/inet.h>
#include <linux/rtnetlink.h>

#include "../fuzz/rtnl_sane.h"
#include "rn_check.h"
#include "rn_rtnl.h"

#define LARGEST 65536 /* bytes of a netlink message */

/* What is being tested, for the message of a failed SAME. */
static const char *subject = "";

#define SAME(expected, actual)                                             \
    do {                                                                   \
        const uint64_t same_e = (uint64_t)(expected);                      \
        const uint64_t same_a = (uint64_t)(actual);                        \
        if (same_e != same_a) {                                            \
            fprintf(stderr,                                                \
                    "%s:%d: %s: %s is %" PRIu64 ", not %" PRIu64 "\n",     \
                    __FILE__, __LINE__, subject, #actual, same_a, same_e); \
            exit(1);                                                       \
        }                                                                  \
    } while (0)

struct frame {
    char name[64];
    size_t size;
    uint8_t *bytes; /* exactly that many on the heap: ASan sees every step */
};

static struct frame frames[256];
static size_t frame_count;

static struct rn_hop message_hops[RN_HOPS_MAX];
static struct rn_route_message message = {.hops = message_hops,
                                          .room = RN_HOPS_MAX};

static inline enum rn_parse
parse(const void *bytes, size_t size)
{
    return rn_rtnl_route(bytes, size, &message);
}

static inline void
frame_load(const char *folder, const char *file)
{
    static uint8_t buffer[LARGEST];
    struct frame *frame = &frames[frame_count++];
    char path[2048];
    FILE *stream;

    CHECK(frame_count <= sizeof(frames) / sizeof(frames[0]));
    snprintf(frame->name, sizeof(frame->name), "%.*s",
             (int)(strlen(file) - strlen(".bin")), file);
    snprintf(path, sizeof(path), "%s/%s", folder, file);
    stream = fopen(path, "rb");
    CHECK(stream != NULL);
    frame->size = fread(buffer, 1, sizeof(buffer), stream);
    fclose(stream);
    frame->bytes = malloc(frame->size);
    CHECK(frame->bytes != NULL);
    memcpy(frame->bytes, buffer, frame->size);
}

/* frames_load - the corpus beside this source file. */
static inline void
frames_load(void)
{
    char folder[1024];
    const char *slash = strrchr(__FILE__, '/');
    struct dirent *file;
    DIR *stream;

    snprintf(folder, sizeof(folder), "%.*s/../fuzz/corpus/rtnl",
             slash == NULL ? 1 : (int)(slash - __FILE__),
             slash == NULL ? "." : __FILE__);
    stream = opendir(folder);
    CHECK(stream != NULL);
    while ((file = readdir(stream)) != NULL) {
        const char *end = strrchr(file->d_name, '.');

        if (end != NULL && strcmp(end, ".bin") == 0) {
            frame_load(folder, file->d_name);
        }
    }
    closedir(stream);
}

static inline void
frames_free(void)
{
    for (size_t i = 0; i < frame_count; i++) {
        free(frames[i].bytes);
    }
}

static inline const struct frame *
frame_named(const char *name)
{
    for (size_t i = 0; i < frame_count; i++) {
        if (strcmp(frames[i].name, name) == 0) {
            return &frames[i];
        }
    }
    fprintf(stderr, "corpus/rtnl has no %s\n", name);
    exit(1);
}

/* is_row - a route message about a row of the table. */
static inline bool
is_row(const struct frame *frame)
{
    return frame->name[0] == 'v' && strcmp(frame->name, "v4-cloned") != 0;
}

static inline void
check_address(int version, const char *text, const uint8_t actual[16])
{
    uint8_t wanted[16] = {0};

    if (text != NULL) {
        const int family = version == 4 ? AF_INET : AF_INET6;

        CHECK(inet_pton(family, text, wanted) == 1);
    }
    for (int i = 0; i < 16; i++) {
        SAME(wanted[i], actual[i]);
    }
}

/* set_length - nlmsg_len, at any alignment. */
static inline void
set_length(uint8_t *bytes, size_t length)
{
    const uint32_t value = (uint32_t)length;

    memcpy(bytes, &value, sizeof(value));
}

#endif
