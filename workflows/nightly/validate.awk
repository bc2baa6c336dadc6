# Sorts flights into clean and rejected ones; a rejected one gets its reason.
# Variables: day, airports (CSV, code first), clean, rejects, quality (files to write).
BEGIN {
  FS = OFS = ","
  while ((getline line < airports) > 0) {
    split(line, field, ",")
    known[field[1]] = 1
  }
  printf "" > rejects
}
FNR == 1 { print > clean; next }
{
  why = ""
  if (NF != 5) why = "columns"
  else if (index($1, day " ") != 1) why = "date"
  else if ($2 !~ /^-?[0-9]+$/) why = "delay"
  else if ($2 < -120 || $2 > 1440) why = "delay out of range"
  else if ($3 !~ /^[0-9]+$/ || $3 == 0) why = "distance"
  else if (!($4 in known)) why = "unknown origin"
  else if (!($5 in known)) why = "unknown destination"

  if (why == "") {
    print > clean
    good++
  } else {
    print $0, why > rejects
    bad++
  }
}
END { printf "{\"clean\": %d, \"rejected\": %d}\n", good, bad > quality }
