// Functions of the standard toolkit that our sources call. A word in upper case stands for a type; what it may be is said by
// its first letters: NUM number, INT whole number, FLT float, STR text, LST list, TUP tuple, others anything.

/** Signatures, `!` before the stateful ones, `&` before parameters that are changed. */
export const FUNCTIONS = `
void appendM(&blob, uint8)
void appendM(&blob, list<uint8>)
void appendM(&list<T>, T)
void clearM(&blob)
void clearM(&list<T>)
void clearM(&map<K,V>)
void concatM(&list<T>, list<T>)
void removeM(&list<T>, int32)
void removeM(&list<T>, int32, int32)
void removeM(&map<K,V>, K)
void insertM(&map<K,V>, K, V)
void insertM(&list<T>, T, int32)
boolean has(map<K,V>, K)
boolean has(list<T>, T)
int32 size(list<T>)
int32 size(map<K,V>)
int32 size(set<T>)
int32 size(blob)
uint64 blobSize(blob)
list<int32> range(int32)
list<int32> range(int32, int32)
list<int32> range(int32, int32, int32)
list<T> makeSequence(T, int32)
NUM abs(NUM)
NUM max(NUM, NUM)
NUM min(NUM, NUM)
FLT sin(FLT)
FLT cos(FLT)
FLT sqrt(FLT)
FLT ceil(FLT)
FLT floor(FLT)
FLT round(FLT)
!float64 random()
int32 length(STR)
STR lower(STR)
STR upper(STR)
STR substring(STR, int32, int32)
int32 findFirst(STR, STR)
list<rstring> tokenize(rstring, rstring, boolean)
rstring regexReplace(rstring, rstring, rstring, boolean)
list<rstring> regexMatch(rstring, rstring)
blob convertToBlob(rstring)
rstring convertFromBlob(blob)
rstring formatNumber(float64, uint32, uint32, boolean)
rstring formatNumber(int64, uint32)
uint64 strtoull(rstring, int32)
int64 strtoll(rstring, int32)
rstring strerror(int32)
!timestamp getTimestamp()
!float64 getTimestampInSecs()
int64 getSeconds(timestamp)
uint32 getNanoseconds(timestamp)
float64 diffAsSecs(timestamp, timestamp)
int32 getChannel()
int32 getMaxChannels()
rstring getThisOperatorName()
!rstring getEnvironmentVariable(rstring, rstring)
rstring getSubmissionTimeValue(rstring)
rstring getSubmissionTimeValue(rstring, rstring)
void print(T)
void println(T)
void printString(STR)
void printStringLn(STR)
void appTrc(enum{error,warn,info,debug,trace}, STR)
void assert(boolean)
void assert(boolean, STR)
!void abort()
!void shutdownPE()
enum{WindowMarker,FinalMarker} currentPunct()
void submit(TUP, stream)
void submit(enum{WindowMarker,FinalMarker}, stream)
`;

/** Functions that only `use spl.file::*` brings. */
export const FILE_FUNCTIONS = `
!uint64 fopen(rstring, rstring, &int32)
!int32 fclose(uint64, &int32)
!uint64 fread(&list<uint8>, uint64, uint64, &int32)
!void freadfile(&blob, uint64, &int32)
`;

/** Values of the standard toolkit's enums, by the name before the dot. */
export const ENUM_VALUES: Readonly<Record<string, readonly (readonly string[])[]>> = {
  Sys: [
    ["WindowMarker", "FinalMarker"],
    ["Wait", "DropFirst", "DropLast"],
  ],
  Trace: [["error", "warn", "info", "debug", "trace"]],
};
