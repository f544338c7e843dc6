/* rn_linux_bpf.c - filters as classic BPF for the event socket (bpf(4)): the
 * decision of rn_filter_interest() of any of them, made before a message is
 * queued.
 *
 * Whatever is no route of IPv4 or IPv6 goes through: it may be a trigger.  So do
 * routes so large that no dump can show them, and where the program comes upon
 * it, what the parser is to complain of.
 * Fields of a message are in host order while BPF loads big-endian, hence the
 * swapped constants.
 */
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "rn_linux.h"

static_assert(sizeof(struct rn_instruction) == sizeof(struct sock_filter) &&
                  offsetof(struct rn_instruction, operand) ==
                      offsetof(struct sock_filter, k),
              "rn_instruction is struct sock_filter");

#define AT_TYPE offsetof(struct nlmsghdr, nlmsg_type)
#define AT_ROUTE(member) (NLMSG_HDRLEN + offsetof(struct rtmsg, member))
#define AT_ATTRIBUTES (NLMSG_HDRLEN + sizeof(struct rtmsg))

/* Cells of the program's memory. */
enum cell { CELL_TABLE, CELL_DESTINATION, CELL_BELOW };

/* Where to go; the program's ends have labels of their own. */
enum { ACCEPT, DROP, FIRST_LABEL };
#define LABELS RN_PROGRAM_MAX
#define UNPLACED UINT32_MAX

struct code {
    struct rn_instruction *out;
    uint32_t count;
    uint32_t labels[LABELS]; /* instruction numbers */
    uint32_t label_count;
    int overflow; /* it does not fit */
};

static void
emit(struct code *code, unsigned operation, uint32_t operand,
     unsigned jump_true, unsigned jump_false)
{
    if (code->count == RN_PROGRAM_MAX) {
        code->overflow = 1;
        return;
    }
    code->out[code->count++] = (struct rn_instruction){
        .code = (uint16_t)operation,
        .jump_true = (uint8_t)jump_true,
        .jump_false = (uint8_t)jump_false,
        .operand = operand,
    };
}

static void
emit_plain(struct code *code, unsigned operation, uint32_t operand)
{
    emit(code, operation, operand, 0, 0);
}

static uint32_t
label_new(struct code *code)
{
    if (code->label_count == LABELS) {
        code->overflow = 1;
        return ACCEPT;
    }
    code->labels[code->label_count] = UNPLACED;
    return code->label_count++;
}

static void
label_here(struct code *code, uint32_t label)
{
    code->labels[label] = code->count;
}

/* Conditional jumps reach 255 instructions, this one any. */
static void
go(struct code *code, uint32_t label)
{
    emit_plain(code, BPF_JMP | BPF_JA, label); /* link() makes it an offset */
}

/* To label if the accumulator compares so; else on. */
static void
go_if(struct code *code, unsigned comparison, uint32_t operand, uint32_t label)
{
    emit(code, BPF_JMP | comparison | BPF_K, operand, 0, 1);
    go(code, label);
}

static void
go_unless(struct code *code, unsigned comparison, uint32_t operand,
          uint32_t label)
{
    emit(code, BPF_JMP | comparison | BPF_K, operand, 1, 0);
    go(code, label);
}

static void
load_constant(struct code *code, uint32_t value)
{
    emit_plain(code, BPF_LD | BPF_IMM, value);
}

static void
load_cell(struct code *code, enum cell cell)
{
    emit_plain(code, BPF_LD | BPF_MEM, cell);
}

static void
store_cell(struct code *code, enum cell cell)
{
    emit_plain(code, BPF_ST, cell);
}

/* The payload (4 bytes) of an attribute; to `absent` if there is none. */
static void
load_attribute(struct code *code, uint16_t type, uint32_t absent)
{
    load_constant(code, AT_ATTRIBUTES);
    emit_plain(code, BPF_LDX | BPF_IMM, type);
    emit_plain(code, BPF_LD | BPF_W | BPF_ABS,
               (uint32_t)(SKF_AD_OFF + SKF_AD_NLATTR));
    go_if(code, BPF_JEQ, 0, absent);
    emit_plain(code, BPF_MISC | BPF_TAX, 0);
    emit_plain(code, BPF_LD | BPF_H | BPF_IND, 0);
    go_unless(code, BPF_JEQ, htons(RTA_LENGTH(4)), ACCEPT);
    emit_plain(code, BPF_LD | BPF_W | BPF_IND, RTA_LENGTH(0));
}

/* A kernel that finds no attribute although there is one (the message lies in
 * pieces) still sees rtm_table, which then does not tell the table.
 */
static void
load_table(struct code *code)
{
    uint32_t absent = label_new(code);
    uint32_t done = label_new(code);

    load_attribute(code, RTA_TABLE, absent);
    go(code, done);
    label_here(code, absent);
    emit_plain(code, BPF_LD | BPF_B | BPF_ABS, AT_ROUTE(rtm_table));
    go_if(code, BPF_JEQ, RT_TABLE_COMPAT, ACCEPT);
    if (htonl(1) != 1) {
        emit_plain(code, BPF_ALU | BPF_LSH | BPF_K, 24);
    }
    label_here(code, done);
    store_cell(code, CELL_TABLE);
}

/* CELL_BELOW: the bits below the address's lowest one, all of them for 0. */
static void
store_below(struct code *code)
{
    load_cell(code, CELL_DESTINATION);
    emit_plain(code, BPF_ALU | BPF_XOR | BPF_K, UINT32_MAX);
    emit_plain(code, BPF_MISC | BPF_TAX, 0);
    load_cell(code, CELL_DESTINATION);
    emit_plain(code, BPF_ALU | BPF_SUB | BPF_K, 1);
    emit_plain(code, BPF_ALU | BPF_AND | BPF_X, 0);
    store_cell(code, CELL_BELOW);
}

static void
load_destination(struct code *code)
{
    uint32_t absent = label_new(code);
    uint32_t done = label_new(code);

    emit_plain(code, BPF_LD | BPF_B | BPF_ABS, AT_ROUTE(rtm_dst_len));
    go_if(code, BPF_JGT, 32, ACCEPT);
    load_attribute(code, RTA_DST, absent);
    go(code, done);
    label_here(code, absent);
    emit_plain(code, BPF_LD | BPF_B | BPF_ABS, AT_ROUTE(rtm_dst_len));
    go_unless(code, BPF_JEQ, 0, ACCEPT); /* malformed */
    label_here(code, done);
    store_cell(code, CELL_DESTINATION);
    store_below(code);
}

static void
test_exact(struct code *code, uint32_t address, uint32_t yes)
{
    load_cell(code, CELL_DESTINATION);
    go_if(code, BPF_JEQ, address, yes);
}

/* every: so is the shortest prefix that the address has. */
static void
test_inside(struct code *code, uint32_t address, unsigned length, int every,
            uint32_t yes)
{
    uint32_t mask = length ? UINT32_MAX << (32 - length) : 0;

    if (every) {
        load_cell(code, CELL_BELOW);
        emit(code, BPF_JMP | BPF_JGT | BPF_K, ~mask, 4, 0);
    }
    load_cell(code, CELL_DESTINATION);
    emit_plain(code, BPF_ALU | BPF_AND | BPF_K, mask);
    go_if(code, BPF_JEQ, address, yes);
}

/* They differ below the lowest bit of the destination only. */
static void
test_covering(struct code *code, uint32_t address, uint32_t yes)
{
    load_cell(code, CELL_DESTINATION);
    emit_plain(code, BPF_ALU | BPF_XOR | BPF_K, address);
    emit_plain(code, BPF_LDX | BPF_MEM, CELL_BELOW);
    emit(code, BPF_JMP | BPF_JGT | BPF_X, 0, 1, 0);
    go(code, yes);
}

/* rn_prefixes_hold(): `every` length that the address may have, or any. */
static void
test_prefixes(struct code *code, const struct rn_filter_node *node, int every,
              uint32_t yes)
{
    for (uint32_t i = 0; i < node->prefixes[0].count; i++) {
        const struct rn_prefix *prefix = &node->prefixes[0].all[i];
        const uint32_t address = (uint32_t)(prefix->high >> 32);
        const int whole = prefix->length == 32;

        if (node->op == RN_FILTER_INSIDE) {
            test_inside(code, address, prefix->length, every, yes);
        } else if (node->op == RN_FILTER_COVERING && !every) {
            test_covering(code, address, yes);
        } else if (!every || (whole && (node->op == RN_FILTER_COVERING ||
                                        address & 1))) {
            test_exact(code, address, yes);
        }
    }
}

static void
test_term(struct code *code, const struct rn_filter_node *node, int negated,
          uint32_t yes, uint32_t no)
{
    const uint32_t holds = negated ? no : yes;

    if (node->op != RN_FILTER_TABLE) {
        test_prefixes(code, node, negated, holds);
    } else {
        load_cell(code, CELL_TABLE);
        for (uint32_t i = 0; i < node->number_count; i++) {
            go_if(code, BPF_JEQ, htonl(node->numbers[i]), holds);
        }
    }
    go(code, negated ? yes : no);
}

/* The tree at `at`, its opposite if negated, for rows of one family. */
static void
test_tree(struct code *code, const struct rn_filter *filter, uint32_t at,
          int negated, int ip_version, uint32_t yes, uint32_t no)
{
    const struct rn_filter_node *node = &filter->nodes[at];
    const int known = rn_filter_family(filter, at, negated, ip_version);
    const int any = (node->op == RN_FILTER_ANY) != negated;

    if (known >= 0) {
        go(code, known ? yes : no);
        return;
    }
    if (node->op == RN_FILTER_NOT) {
        test_tree(code, filter, at + 1, !negated, ip_version, yes, no);
        return;
    }
    if (node->op != RN_FILTER_ALL && node->op != RN_FILTER_ANY) {
        test_term(code, node, negated, yes, no);
        return;
    }
    for (uint32_t child = at + 1; child < node->end;
         child = filter->nodes[child].end) {
        uint32_t next = label_new(code);
        test_tree(code, filter, child, negated, ip_version, any ? yes : next,
                  any ? next : no);
        label_here(code, next);
    }
    go(code, any ? no : yes);
}

struct union_of {
    struct rn_filter *const *filters;
    size_t count;
};

/* What all of them say of a family; 1 wins. */
static int
known_of(const struct union_of *wanted, int ip_version)
{
    int known = 0;

    for (size_t i = 0; i < wanted->count; i++) {
        const struct rn_filter *filter = wanted->filters[i];
        int one = filter ? rn_filter_family(filter, 0, 0, ip_version) : 1;
        if (one == 1) {
            return 1;
        }
        known = one < 0 ? -1 : known;
    }
    return known;
}

static void
test_family(struct code *code, const struct union_of *wanted, int ip_version)
{
    const int known = known_of(wanted, ip_version);

    if (known >= 0) {
        go(code, known ? ACCEPT : DROP);
        return;
    }
    load_table(code);
    if (ip_version == 4) {
        load_destination(code);
    }
    for (size_t i = 0; i < wanted->count; i++) {
        uint32_t next = label_new(code);
        test_tree(code, wanted->filters[i], 0, 0, ip_version, ACCEPT, next);
        label_here(code, next);
    }
    go(code, DROP);
}

/* Only what is a route of IPv4 or IPv6 goes on. */
static void
test_message(struct code *code)
{
    emit_plain(code, BPF_LD | BPF_W | BPF_LEN, 0);
    go_if(code, BPF_JGT, RN_OVERSIZED, ACCEPT);
    go_unless(code, BPF_JGE, AT_ATTRIBUTES, ACCEPT);
    emit_plain(code, BPF_LD | BPF_H | BPF_ABS, AT_TYPE);
    emit(code, BPF_JMP | BPF_JEQ | BPF_K, htons(RTM_NEWROUTE), 2, 0);
    go_unless(code, BPF_JEQ, htons(RTM_DELROUTE), ACCEPT);
    emit_plain(code, BPF_LD | BPF_B | BPF_ABS, AT_ROUTE(rtm_family));
}

/* Labels become distances. */
static void
link(struct code *code)
{
    for (uint32_t i = 0; i < code->count; i++) {
        struct rn_instruction *at = &code->out[i];
        if (at->code == (BPF_JMP | BPF_JA)) {
            at->operand = code->labels[at->operand] - i - 1;
        }
    }
}

size_t
rn_linux_bpf(struct rn_filter *const *filters, size_t count,
             struct rn_instruction out[RN_PROGRAM_MAX])
{
    const struct union_of wanted = {filters, count};
    struct code code = {.out = out, .label_count = FIRST_LABEL};

    if (known_of(&wanted, 4) == 1 && known_of(&wanted, 6) == 1) {
        return 0;
    }
    uint32_t ipv6 = label_new(&code);
    test_message(&code);
    go_if(&code, BPF_JEQ, AF_INET6, ipv6);
    go_unless(&code, BPF_JEQ, AF_INET, ACCEPT);
    test_family(&code, &wanted, 4);
    label_here(&code, ipv6);
    test_family(&code, &wanted, 6);
    label_here(&code, ACCEPT);
    emit_plain(&code, BPF_RET | BPF_K, UINT32_MAX);
    label_here(&code, DROP);
    emit_plain(&code, BPF_RET | BPF_K, 0);
    if (code.overflow) {
        return 0;
    }
    link(&code);
    return code.count;
}

size_t
rn_filter_program(const struct rn_filter *filter,
                  struct rn_instruction out[RN_PROGRAM_MAX])
{
    struct rn_filter *one = (struct rn_filter *)filter; /* only read */

    return rn_linux_bpf(&one, 1, out);
}
