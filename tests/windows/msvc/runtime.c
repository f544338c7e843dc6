/* runtime.c - the symbol that MSVC's runtime has for code with doubles. */
extern int _fltused;
int _fltused = 0x9875;
