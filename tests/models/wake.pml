/* wake.pml - the OFF-ARMED-SET protocol of rn_wake.c, in every order of
 * its steps: a producer, and two consumers who take turns.
 *
 * No wake-up is lost: spin reports a wait without an end as an invalid end
 * state.  Mutants, by -D: LOOK_FIRST, NO_RECHECK, CLEAR_LATE, SET_BLIND.
 * Steps are atomic here and memory is sequential; what the orders are for is
 * explored by channel.cc.
 */
#define CHANGES 3
#define CONSUMERS 2

mtype = { OFF, ARMED, SET };

mtype state = OFF;
bit object = 0; /* the eventfd: readable? */
byte queued = 0;
byte taken = 0;
bit ended = 0;
bit turn = 0; /* what the GIL is: 1 while somebody has it */

inline exchange(old, new)
{
    atomic { old = state; state = new }
}

/* rn_wake_signal: a look, and the one that moves ARMED to SET sets it, late. */
inline wake_signal(seen)
{
    seen = state;
    if
    :: seen == ARMED ->
        exchange(seen, SET);
        if
        :: seen == ARMED -> object = 1
        :: else
        fi
    :: else
    fi
}

/* One read; if the word was SET its setter may be on the way: a moment more,
 * in which it comes or does not.
 */
inline clear_object(was)
{
    if
    :: object == 1 -> object = 0
    :: object == 0 && was == SET ->
        if
        :: object == 1 -> object = 0
        :: skip
        fi
    :: object == 0 && was != SET
    fi
}

inline settle(was, something)
{
    something = queued > 0 || ended;
    if
    :: !something ->
#ifdef CLEAR_LATE
        exchange(was, SET);
        state = ARMED;
        clear_object(was);
#else
        exchange(was, SET);
        clear_object(was);
        exchange(was, ARMED);
#endif
#ifndef NO_RECHECK
        something = queued > 0 || ended
#endif
    :: else
    fi;
    if
    :: something ->
#ifdef SET_BLIND
        state = SET; /* and leaves the object to the others */
#else
        if
        :: state != SET ->
            exchange(was, SET);
            if
            :: was != SET -> object = 1
            :: else
            fi
        :: else
        fi
#endif
    :: else
    fi
}

proctype producer()
{
    mtype seen;
    byte made = 0;

    do
    :: made < CHANGES ->
        made++;
#ifdef LOOK_FIRST
        wake_signal(seen);
        queued++
#else
        queued++;
        wake_signal(seen)
#endif
    :: else -> break
    od;
    queued == 0; /* nothing else comes to make up for a wake-up that is lost */
    ended = 1;
    wake_signal(seen)
}

proctype consumer()
{
    mtype was;
    bit something;

    do
    :: atomic { turn == 0 -> turn = 1 };
        if
        :: queued > 0 ->
            atomic { queued--; taken++; turn = 0 }
        :: else ->
            if
            :: ended && queued == 0 -> turn = 0; break
            :: else ->
                settle(was, something);
                turn = 0;
                if
                :: something
                :: !something -> object == 1 /* poll() without an end */
                fi
            fi
        fi
    od
}

init {
    byte i = 0;

    atomic {
        run producer();
        do
        :: i < CONSUMERS -> run consumer(); i++
        :: else -> break
        od
    };
    _nr_pr == 1;
    assert(taken == CHANGES && queued == 0)
}
