/* congestion.pml - a BPF ring buffer that is full, in every order of the steps of
 * who fills it (rn_linux_ringbuf_bpf.c: two senders) and who reads it
 * (rn_linux_receive.c, rn_linux_reader.c).
 *
 * When nobody has anything left to do, each change that was made is known: it was
 * read, or a comparison that began later has seen it.  Otherwise spin reports a
 * violated assertion.  Mutants, by -D: NO_RECORD, WORD_LATE, NO_LOOK, RESUME_LATE.
 * Memory is sequential here: the exchange and the full barrier see to that.
 */
#define ROOM 2    /* records that the ring holds */
#define CHANGES 4 /* each sender makes half of them */
#define POSITIONS 16

bit made[CHANGES];
bit known[CHANGES];
bit congested = 0;
byte produced = 0;
byte consumed = 0;
byte record[POSITIONS]; /* a change and one, CHANGES + 1: says nothing; 0: busy */
bit awake = 1;          /* the reader; who wakes it sets this */

/* bpf_ringbuf_reserve(): under a lock, so in one step. */
inline reserve(at, got)
{
    atomic {
        got = produced - consumed < ROOM;
        if
        :: got -> at = produced; produced++
        :: else
        fi
    }
}

/* bpf_ringbuf_submit(): wakes whoever has read all that was before. */
inline submit(at, what, force)
{
    record[at] = what;
    if
    :: force || consumed == at -> awake = 1
    :: else
    fi
}

inline say_congested(was)
{
    atomic { was = congested; congested = 1 }
}

/* No room was found: see congest(). */
inline congest(at, got, was)
{
#ifdef NO_RECORD
    say_congested(was);
#elif defined(WORD_LATE)
    reserve(at, got);
    if
    :: got -> submit(at, CHANGES + 1, 1)
    :: else
    fi;
    say_congested(was);
#else
    say_congested(was);
    if
    :: !was ->
        reserve(at, got);
        if
        :: got -> submit(at, CHANGES + 1, 1)
        :: else
        fi
    :: else
    fi
#endif
}

/* The change comes first, then its message. */
proctype sender(byte first)
{
    byte change = first;
    byte at;
    bit got;
    bit was;

    do
    :: change < first + CHANGES / 2 ->
        made[change] = 1;
        if
        :: congested -> skip
        :: else ->
            reserve(at, got);
            if
            :: got -> submit(at, change + 1, 0)
            :: else -> congest(at, got, was)
            fi
        fi;
        change++
    :: else -> break
    od
}

inline compare()
{
    atomic {
        byte i;
        for (i : 0 .. CHANGES - 1) {
            if
            :: made[i] -> known[i] = 1
            :: else
            fi
        }
    }
}

/* The ring was found empty. */
inline look()
{
    if
    :: congested ->
#ifdef RESUME_LATE
        compare();
        congested = 0;
#else
        congested = 0;
        compare();
#endif
    :: else
    fi
}

/* What is there, until it is empty or the turn is over. */
inline turn(found_empty)
{
    found_empty = 0;
    do
    :: consumed == produced ->
        look();
        found_empty = 1;
        break
    :: consumed < produced && record[consumed] != 0 ->
        if
        :: record[consumed] <= CHANGES -> known[record[consumed] - 1] = 1
        :: else
        fi;
        consumed++
    :: break
    od
}

active proctype reader()
{
    bit found_empty = 0;

end:
    do
    :: turn(found_empty);
#ifndef NO_LOOK
        if
        :: !found_empty -> goto end
        :: else
        fi;
#endif
        /* poll(): it waits only if nothing is there after it has said so. */
        awake = 0;
        if
        :: consumed != produced -> skip
        :: else ->
end_asleep:
            awake == 1
        fi
    od
}

init
{
    atomic {
        run sender(0);
        run sender(CHANGES / 2)
    };
    timeout ->
    atomic {
        byte i;
        for (i : 0 .. CHANGES - 1) {
            assert(known[i])
        }
        assert(!congested)
    }
}
