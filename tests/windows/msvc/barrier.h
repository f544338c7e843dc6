/* barrier.h - the declaration of a compiler builtin that Wine's intrin.h lacks;
 * MSVC has it.
 */
void
_ReadWriteBarrier(void);
